/* The strength of deep convection; the definition is sciml/convection/energy_closure.py. */
#include "mskf/physics.h"

#define LEAST_STRENGTH 0.05
#define ROUNDS 10
#define WANTED 0.95 /* share of the energy to remove */
#define ENOUGH 0.1  /* share that may remain */
#define SAME 1e-4

/* Air of the source layer after the adjustment, its pressure, and the temperature at its condensation. */
typedef struct parcel {
    vreal t, q, p, t_lcl;
} parcel;

static parcel mixed(const setting *set, const sounding *s, const plume *up, const vreal *t, const vreal *q) {
    vreal t_mix = splat(0.0), q_mix = t_mix;
    /* a lane without a plume takes air of the lowest level, so that its unused numbers are finite */
    const vword none = up->kind == (double)NONE;
    const vreal per_depth = 1.0 / choose(none, s->dp[0], up->source_depth),
                p = choose(none, s->p[0], up->p_mix);
    const int top = (int)greatest(up->source_top);
    for (int k = 0; k <= top; k++) {
        const vreal weight = only((k >= up->base) & (k <= up->source_top), s->dp[k] * per_depth);
        t_mix += weight * t[k];
        q_mix += weight * q[k];
    }
    const vreal saturated = saturation(p, t_mix), heat = latent_heat(t_mix);
    const vreal excess =
        (q_mix - saturated) / (1.0 + heat * (saturated * vapour_slope(t_mix)) / (CP * (1.0 + 0.887 * q_mix)));
    const vword wet = q_mix > saturated;
    const vreal lcl = MIN(lifted(set->tables, p, t_mix, at_least(q_mix, 1e-8)), t_mix);
    const vreal warmer = t_mix + heat / CP * excess;
    return (parcel){choose(wet, warmer, t_mix), at_least(choose(wet, q_mix - excess, q_mix), 0.0), p,
                    choose(wet, warmer, lcl)};
}

/* Available energy (J/kg) of the source layer's plume in the adjusted sounding t, q. */
static vreal remaining_energy(const setting *set, const sounding *s, const plume *up, const vreal *t,
                              const vreal *q) {
    const parcel air = mixed(set, s, up, t, q);
    const vreal z_lcl = up->z_mix + (air.t_lcl - air.t) / LAPSE;
    vreal above = splat(-1.0);
    for (int k = 0; k < s->levels && any(above < 0.0); k++)
        above = choose((above < 0.0) & (s->z[k] >= z_lcl) & (k >= up->base), splat(k), above);
    above = at_least(above, 1.0);
    const vreal below = above - 1.0;
    const vreal z_low = at_level(s->z, below), t_low = at_level(t, below), q_low = at_level(q, below);
    const vreal share = (z_lcl - z_low) / (at_level(s->z, above) - z_low);
    vreal tv_env_last =
        virtual(t_low + (at_level(t, above) - t_low) * share, q_low + (at_level(q, above) - q_low) * share);
    vreal tv_last = virtual(air.t_lcl, air.q), energy = splat(0.0);
    vreal theta = equivalent(log_of(P_ZERO / air.p), air.t, air.q, air.t_lcl);
    for (int k = 0; k < up->reach; k++) {
        const vword here = (k >= above) & (k <= up->top);
        if (!any(here)) continue;
        const place at = {s->index[k], s->weight[k], s->start[k]};
        const wet rising = wet_adiabat(set->tables, at, theta);
        const vreal tv = rising.t * (1.0 + 0.608 * rising.q - up->liquid[k] - up->ice[k]);
        const vreal tv_env = virtual(t[k], q[k]);
        const vreal depth = choose(above == (double)k, s->z[k] - z_lcl, s->z[k] - s->z[k ? k - 1 : 0]);
        const vreal work = ((tv_last + tv) / (tv_env_last + tv_env) - 1.0) * depth * G;
        energy += only(here, at_least(work, 0.0));
        const vreal undiluted = 1.0 / up->dilution[k];
        const vreal t_lcl = lifted(set->tables, s->p[k], t[k], q[k]);
        const vreal theta_env = equivalent(s->log_p[k], t[k], q[k], t_lcl);
        theta = choose(here, theta * undiluted + theta_env * (1.0 - undiluted), theta);
        tv_last = choose(here, tv, tv_last);
        tv_env_last = choose(here, tv_env, tv_env_last);
    }
    return energy;
}

closed NAMED(close_energy)(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                           timing times, vreal *scratch) {
    const vreal unity = splat(1.0), most = NAMED(greatest_strength)(s, up, down, times);
    const vreal least = splat(ENOUGH * __builtin_sqrt(set->factor));
    vreal *const t = scratch, *const q = scratch + s->levels, *const rest = scratch + 2 * s->levels;
    closed out = {MIN(unity, most), unity, splat(0.0), up->kind == up->kind};
    vreal before = out.strength, left_before = splat(0.0);
    const vreal cape = choose(up->cape > 0.0, up->cape, unity);
    vword active = (up->kind == (double)DEEP) & (up->cape > 0.0), last_round = active & ~active;
    for (int number = 1; number <= ROUNDS && any(active); number++) {
        const vreal now = out.strength;
        NAMED(adjust_air)(s, up, down, times, now, rest, t, q);
        const vreal left = remaining_energy(set, s, up, t, q) / cape;
        out.rounds = choose(active, splat(number), out.rounds);
        if (number == 1) out.removed = choose(active, 1.0 - left, out.removed);
        const vword going = active & ~last_round;
        vword gives_up = going & (left > 1.0);
        const vreal step = now - before;
        vword repeats = going & ~going;
        if (number > 1) {
            const vreal slope = (left - left_before) / choose(step == 0.0, unity, step);
            repeats = going & ~gives_up & ((absolute(step) < SAME) | (slope > 0.0));
        }
        vword goes_on = going & ~gives_up & ~repeats;
        before = choose(goes_on, now, before);
        left_before = choose(goes_on, left, left_before);
        last_round = (active & last_round) | repeats;
        if (number == ROUNDS)
            goes_on = goes_on & ~goes_on;
        else
            goes_on = goes_on & ~((left <= ENOUGH) | ((now / most > 0.999) & (left > ENOUGH)));
        const vreal scaled = MIN(choose(left == 0.0, 0.5 * now, now * WANTED / MAX(1.0 - left, least)), most);
        gives_up |= goes_on & (scaled < LEAST_STRENGTH);
        out.strength = choose(goes_on, scaled, out.strength);
        out.convects &= ~gives_up;
        active = (goes_on & ~gives_up) | repeats;
    }
    return out;
}
