/* The downdraft of a deep plume; the definition is sciml/convection/downdraft.py. */
#include "mskf/physics.h"

#define REACH 150.0e2
#define LEAST 50.0e2
#define FUSION 3.339e5

/* The state of sinking air at each level from `handover` on; returns the level where it stops. */
static vreal sink(const setting *set, const sounding *s, vreal handover, vreal theta, vreal q, vword exists,
                  downdraft *down) {
    const vreal z_handover = at_level(s->z, handover), zero = splat(0.0);
    vreal end = zero;
    vword sinking = exists;
    for (int k = 0; k < s->levels; k++)
        down->t[k] = down->q[k] = zero;
    for (int k = (int)greatest(handover) - 1; k >= 0; k--) {
        const vword here = sinking & (k < handover);
        if (!any(here)) {
            if (!any(sinking)) break;
            continue;
        }
        const place at = {s->index[k], s->weight[k], s->start[k]};
        const wet air = wet_adiabat(set->tables, at, theta);
        const vreal target = 1.0 - 0.2e-3 * (z_handover - s->z[k]);
        const vreal slope = vapour_slope(air.t), heat = latent_heat(air.t);
        vreal t = air.t + heat * air.q * (1.0 - target) / (CP + heat * target * air.q * slope);
        const vreal e = target * E_ZERO * exp_of((E_SLOPE * t - E_OFFSET) / (t - E_SHIFT));
        vreal q_down = RATIO * e / (s->p[k] - e);
        const vword moist = q_down < q;
        t = choose(moist, air.t + (air.q - q) * heat / CP, t);
        q_down = choose(moist, q, q_down);
        down->t[k] = only(here, t);
        down->q[k] = only(here, q_down);
        vword stops = here;
        if (k > 0) stops &= virtual(t, q_down) > s->tv[k];
        end = choose(stops, splat(k), end);
        sinking &= ~stops;
    }
    return end;
}

void NAMED(descend)(const setting *set, const sounding *s, const plume *up, downdraft *down) {
    const vreal zero = splat(0.0), minus = splat(-1.0);
    const int levels = s->levels;
    const vword deep = up->kind == (double)DEEP;
    down->start = down->evaporated = zero;
    if (!any(deep)) {
        for (int k = 0; k < levels; k++)
            down->flux[k] = down->entrained[k] = down->detrained[k] = down->t[k] = down->q[k] = zero;
        return;
    }
    const vreal handover = at_most(up->source_top + 1.0, levels - 1);
    const vreal p_handover = at_level(s->p, handover);
    vreal highest = minus, melting_level = zero, frozen = zero, rain = zero;
    for (int k = 0; k < levels; k++) {
        const vword low_enough = (p_handover - s->p[k] > REACH) & (k > handover);
        highest = choose(low_enough & (highest < 0.0), splat(k), highest);
        if (k >= up->reach) continue;
        const vword within = k <= up->top;
        melting_level = choose((s->t[k] > 273.16) & within, splat(k), melting_level);
        frozen += only(within & (k >= up->cloud_base), up->snow[k]);
        rain += only(within, up->rain[k] + up->snow[k]);
    }
    const vreal below_turn = up->buoyancy_top - 1.0;
    const vreal start = at_least(MIN(choose(highest < 0.0, below_turn, highest), below_turn), 0.0);
    vword exists = deep & (p_handover - at_level(s->p, start) > LEAST);

    /* air from the levels it mixes in, by mass */
    vreal total = zero, theta = zero, q = zero, humidity = zero;
    for (int k = 0; k < levels; k++) {
        const vreal mass = only((k >= handover) & (k <= start), s->dp[k]);
        total += mass;
        theta += mass * s->theta_e[k];
        q += mass * s->q[k];
        humidity += mass * s->rh[k];
    }
    total = at_least(total, 1e-6);
    theta /= total;
    q /= total;
    humidity /= total;

    /* saturated at the handover, cooled by what melts */
    const vreal lcl_flux = at_level(up->flux, up->cloud_base);
    vreal melting = FUSION * frozen / (CP * at_least(lcl_flux, 1e-6));
    melting = only(up->base < melting_level, melting);
    const place at = {at_level(s->index, handover), at_level(s->weight, handover),
                      at_level(s->start, handover)};
    const vreal t = wet_adiabat(set->tables, at, theta).t - melting;
    const vreal log_p = at_level(s->log_p, handover);
    const vreal t_safe = choose(exists, t, splat(280.0));
    theta = equivalent(log_p, t_safe, saturation(p_handover, t_safe), t_safe);
    const vreal end = sink(set, s, handover, theta, q, exists, down);

    exists &= (at_level(s->p, end) - at_level(s->p, start) > LEAST) & (handover > 0.0);
    vreal spread = zero, evaporated = zero;
    for (int k = 0; k < levels; k++) {
        const vreal mass = only((k >= end) & (k < handover), s->dp[k]);
        spread += mass;
        evaporated += (down->q[k] - q) * mass;
    }
    const vreal per_spread = 1.0 / at_least(spread, 1e-6);
    evaporated *= per_spread;
    exists &= evaporated > 1e-9;
    vreal strength = 2.0 * (1.0 - humidity) * lcl_flux;
    strength = only(exists, MIN(strength, rain / at_least(evaporated, 1e-9)));
    const vreal drawn = strength / total, left = strength * per_spread;
    vreal sunk = zero, above = total;
    for (int k = 0; k < levels; k++) {
        const vword mixing = (k >= handover) & (k <= start), spreading = (k >= end) & (k < handover);
        const vreal mass = only(mixing, s->dp[k]), share = only(spreading, s->dp[k]);
        sunk += share;
        /* through the bottom of each mixing level passes what was drawn in from there on up */
        down->flux[k] = only(mixing, drawn * above) + only(spreading, left * sunk);
        above -= mass;
        down->entrained[k] = drawn * mass;
        down->detrained[k] = left * share;
        down->t[k] = only(exists & spreading, down->t[k]);
        down->q[k] = only(exists & spreading, down->q[k]);
    }
    down->start = only(deep, start);
    down->evaporated = only(exists, strength * evaporated);
}
