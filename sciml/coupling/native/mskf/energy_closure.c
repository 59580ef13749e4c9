/* The strength of deep convection; the definition is sciml/convection/energy_closure.py. */
#include "mskf/physics.h"

#define LEAST_STRENGTH 0.05
#define ROUNDS 10
#define WANTED 0.95 /* share of the energy to remove */
#define ENOUGH 0.1  /* share that may remain */
#define SAME 1e-4

/* Air of the source layer after the adjustment, and its condensation level. */
typedef struct parcel {
    vreal t, q, t_lcl;
} parcel;

/* Lanes without a plume get the air of the lowest level, whose numbers raise no floating-point exception. */
static parcel mixed(const setting *set, const sounding *s, const plume *up, vreal p_mix, const vreal *t,
                    const vreal *q) {
    const vword lanes = up->kind != (double)NONE;
    vreal t_mix = choose(lanes, splat(0.0), s->t[0]), q_mix = choose(lanes, splat(0.0), s->q[0]);
    const vreal per_depth = 1.0 / up->source_depth;
    const int top = (int)greatest(up->source_top);
    for (int k = 0; k <= top; k++) {
        const vreal weight = only(lanes & (k >= up->base) & (k <= up->source_top), s->dp[k] * per_depth);
        t_mix += weight * t[k];
        q_mix += weight * q[k];
    }
    const vreal saturated = saturation(p_mix, t_mix), heat = latent_heat(t_mix);
    const vreal excess =
        (q_mix - saturated) / (1.0 + heat * (saturated * vapour_slope(t_mix)) / (CP * (1.0 + 0.887 * q_mix)));
    const vword damp = q_mix > saturated;
    const vreal lcl = MIN(lifted(set->tables, p_mix, t_mix, at_least(q_mix, 1e-8)), t_mix);
    const vreal warmer = t_mix + heat / CP * excess;
    return (parcel){choose(damp, warmer, t_mix), at_least(choose(damp, q_mix - excess, q_mix), 0.0),
                    choose(damp, warmer, lcl)};
}

/* What the rounds share. */
typedef struct shared {
    const setting *set;
    const sounding *s;
    const plume *up;
    carriage flow;
    vreal *undiluted; /* share of the plume's air at a level that came from below */
    vreal *t, *q;     /* after the adjustment */
    vreal p_mix, log_p_mix;
} shared;

static shared prepare(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                      vreal *scratch) {
    const int levels = s->levels;
    shared from = {
        .set = set, .s = s, .up = up, .flow = NAMED(load_air)(s, up, down, 2, scratch + 3 * levels)};
    from.undiluted = scratch;
    from.t = scratch + levels;
    from.q = scratch + 2 * levels;
    from.p_mix = choose(up->kind != (double)NONE, up->p_mix, s->p[0]);
    from.log_p_mix = log_of(P_ZERO / from.p_mix);
    for (int k = 0; k < up->reach; k++)
        from.undiluted[k] = 1.0 / up->dilution[k];
    for (int k = up->reach; k < levels; k++) {
        from.t[k] = s->t[k];
        from.q[k] = s->q[k];
    }
    return from;
}

/* Available energy (J/kg) of the source layer's plume in the adjusted sounding. */
static vreal remaining_energy(const shared *from, vword lanes) {
    const setting *set = from->set;
    const sounding *s = from->s;
    const plume *up = from->up;
    const vreal *t = from->t, *q = from->q;
    const parcel air = mixed(set, s, up, from->p_mix, t, q);
    const vreal z_lcl = up->z_mix + (air.t_lcl - air.t) / LAPSE;
    vreal above = splat(-1.0);
    for (int k = 0; k < s->levels && any(lanes & (above < 0.0)); k++)
        above = choose((above < 0.0) & (s->z[k] >= z_lcl) & (k >= up->base), splat(k), above);
    above = at_least(above, 1.0);
    const vreal below = above - 1.0;
    const vreal z_low = at_level(s->z, below), t_low = at_level(t, below), q_low = at_level(q, below);
    const vreal share = (z_lcl - z_low) / (at_level(s->z, above) - z_low);
    vreal tv_env_last =
        virtual(t_low + (at_level(t, above) - t_low) * share, q_low + (at_level(q, above) - q_low) * share);
    vreal tv_last = virtual(air.t_lcl, air.q), energy = splat(0.0);
    vreal theta = equivalent(from->log_p_mix, air.t, air.q, air.t_lcl);
    for (int k = 0; k < up->reach; k++) {
        const vword here = lanes & (k >= above) & (k <= up->top);
        if (!any(here)) continue;
        const place at = {s->index[k], s->weight[k], s->start[k]};
        const wet rising = wet_adiabat(set->tables, at, theta);
        const vreal tv = rising.t * (1.0 + 0.608 * rising.q - up->liquid[k] - up->ice[k]);
        const vreal tv_env = virtual(t[k], q[k]);
        const vreal depth = s->z[k] - choose(above == (double)k, z_lcl, s->z[k ? k - 1 : 0]);
        const vreal work = ((tv_last + tv) / (tv_env_last + tv_env) - 1.0) * depth * G;
        energy += only(here, at_least(work, 0.0));
        const vreal t_lcl = lifted(set->tables, s->p[k], t[k], q[k]);
        const vreal theta_env = equivalent(s->log_p[k], t[k], q[k], t_lcl);
        theta = choose(here, theta_env + (theta - theta_env) * from->undiluted[k], theta);
        tv_last = choose(here, tv, tv_last);
        tv_env_last = choose(here, tv_env, tv_env_last);
    }
    return energy;
}

/* The share of the available energy that is left after an adjustment. */
static vreal left_over(const shared *from, timing times, vreal strength, vword lanes) {
    const plume *up = from->up;
    NAMED(carry)(&from->flow, from->s, times.adjustment, up->flux_lcl * strength, lanes);
    for (int k = 0; k < up->reach; k++) {
        from->q[k] = from->flow.state[1][k];
        from->t[k] = from->flow.state[0][k] * per_exner(from->s->log_p[k], from->q[k]);
    }
    return remaining_energy(from, lanes) / choose(up->cape > 0.0, up->cape, splat(1.0));
}

closed NAMED(close_energy)(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                           timing times, vreal *scratch) {
    const vreal unity = splat(1.0), most = NAMED(greatest_strength)(s, up, down, times);
    closed out = {MIN(unity, most), most, unity, splat(0.0), up->kind == up->kind};
    vword active = (up->kind == (double)DEEP) & (up->cape > 0.0), last_round = active & ~active;
    if (!any(active)) return out;
    const vreal least = splat(ENOUGH * __builtin_sqrt(set->factor));
    const shared from = prepare(set, s, up, down, scratch);
    vreal before = out.strength, left_before = splat(0.0);
    for (int number = 1; number <= ROUNDS && any(active); number++) {
        const vreal now = out.strength, left = left_over(&from, times, now, active);
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
