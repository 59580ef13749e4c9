/* Everything a host needs of one call, and the conservation laws; the definition is
 * sciml/convection/response.py. */
#include "mskf/physics.h"

/* The level above the condensation level of the same source layer after the adjustment. */
static vreal lowered_base(const setting *set, const sounding *s, const plume *up, const adjusted *after) {
    vreal t = splat(0.0), q = t, level = splat(-1.0);
    const vreal per_depth = 1.0 / up->source_depth;
    const int top = (int)greatest(up->source_top);
    for (int k = 0; k <= top; k++) {
        const vword layer = (k >= up->base) & (k <= up->source_top);
        const vreal weight = only(layer, s->dp[k] * per_depth);
        t += weight * after->t[k];
        q += weight * after->q[k];
    }
    q = at_least(q, 1e-8);
    const vreal t_lcl = MIN(lifted(set->tables, up->p_mix, t, q), t);
    const vreal z_lcl = up->z_mix + (t_lcl - t) / LAPSE;
    for (int k = 0; k < s->levels && any(level < 0.0); k++)
        level = choose((level < 0.0) & (s->z[k] >= z_lcl) & (k >= up->base), splat(k), level);
    return at_least(level, 0.0);
}

/* Cloud fraction from mass flux; Xu and Krueger (1991). */
INLINE vreal cover(vreal flux, double slope, double most) {
    return between(slope * log_of(1.0 + 500.0 * at_least(flux, 0.0)), 0.01, most);
}

/* Water and enthalpy: rain is what the column loses, or its vapour closes; *rain is set, *limit how far
 * all must be weakened so that no layer loses more vapour in a step than it has. */
static void close_budgets(const setting *set, const sounding *s, const adjusted *a, vword deep, int reach,
                          vreal *rain, vreal *limit) {
    vreal gain = splat(0.0), taken = gain, size = gain, imbalance = gain;
    for (int k = 0; k < reach; k++) {
        const vreal mass = s->dp[k] / G;
        /* WRF's vapour may be nil or below at single points: nothing is taken there */
        a->rqv[k] = MAX(-at_least(s->qv[k], 0.0) / set->dt, a->rqv[k]);
        gain += mass * (a->rqv[k] + a->rqc[k] + a->rqi[k] + a->rqr[k]);
        taken += mass * absolute(a->rqv[k]);
    }
    *rain = only(deep, at_least(-gain, 0.0));
    const vreal share = (gain + *rain) / at_least(taken, 1e-30);
    for (int k = 0; k < reach; k++) {
        const vreal mass = s->dp[k] / G, heating = CP * s->pi[k] * a->rth[k];
        a->rqv[k] -= share * absolute(a->rqv[k]);
        size += mass * absolute(heating);
        imbalance += mass * (heating + latent_heat(s->t[k]) * a->rqv[k]);
    }
    imbalance /= at_least(size, 1e-30);
    const vreal correction = between(imbalance, set->enthalpy[0], set->enthalpy[1]) - imbalance;
    vreal least = splat(1.0);
    for (int k = 0; k < reach; k++) {
        const vreal rv = a->rqv[k];
        a->rth[k] += correction * absolute(a->rth[k]);
        const vreal there = at_least(s->qv[k], 0.0) / (set->dt * at_least(-rv, 1e-300));
        least = choose(rv < 0.0, MIN(there, least), least);
    }
    *limit = least;
}

/* Entrainment and detrainment by layer, as kf_edrates = 1 has them: the plume's own, of the strength that the
 * tendencies have too. */
static void put_rates(const setting *set, const plume *up, const downdraft *down, vreal scale, vword active,
                      response *out) {
    const vreal whole = scale * (set->dx * set->dx), zero = splat(0.0);
    for (int k = 0; k < set->levels; k++) {
        const int inside = k < up->reach;
        out->rate[SCIML_UDR][k] = inside ? only(active, up->detrained[k] * whole) : zero;
        out->rate[SCIML_DDR][k] = inside ? only(active, down->detrained[k] * whole) : zero;
        out->rate[SCIML_UER][k] = inside ? only(active, up->entrained[k] * whole) : zero;
        out->rate[SCIML_DER][k] = inside ? only(active, zero - down->entrained[k] * whole) : zero;
    }
}

void NAMED(respond)(const setting *set, const tile *of, const learned *predicted, vreal *scratch,
                    response *out) {
    const vreal zero = splat(0.0), unity = splat(1.0);
    const sounding *s = &of->s;
    const plume *up = &of->up;
    const int levels = s->levels;
    const vword active = predicted->active & (up->kind != (double)NONE);
    const vreal strength = choose(active, predicted->strength, splat(0.1));
    adjusted a;
    vreal *push_u, *push_v, *own;
    vreal **parts[] = {&a.rth, &a.rqv, &a.rqc, &a.rqi, &a.rqr, &a.t, &a.q, &push_u, &push_v, &own};
    const int count = sizeof parts / sizeof *parts;
    for (int i = 0; i < count; i++)
        *parts[i] = scratch + i * levels;
    vreal *const rest = scratch + count * levels;
    NAMED(adjust)(s, up, &of->down, of->times, strength, rest, &a);
    const vword deep = active & (up->kind == (double)DEEP), shallow = active & (up->kind == (double)SHALLOW);
    vreal base = up->cloud_base;
    if (any(deep)) base = choose(deep, lowered_base(set, s, up, &a), base);
    NAMED(pressure_push)(set, s, up, &of->down, base, rest, push_u, push_v, own);
    vreal cosine, sine;
    NAMED(turned)(s, up, &cosine, &sine);
    for (int k = 0; k < levels; k++) {
        const vreal along = own[k] + predicted->push[k];
        push_u[k] += along * cosine;
        push_v[k] += along * sine;
    }
    NAMED(momentum)(s, up, &of->down, strength, base, push_u, push_v, out->profiles[SCIML_RUCUTEN],
                    out->profiles[SCIML_RVCUTEN]);
    vreal rain, limit;
    close_budgets(set, s, &a, deep, up->reach, &rain, &limit);
    const vreal flux = up->flux_lcl * strength / (1.0 - strength / 100.0);
    for (int k = 0; k < levels; k++) {
        for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
            if (f != SCIML_RUCUTEN && f != SCIML_RVCUTEN) out->profiles[f][k] = zero;
        out->profiles[SCIML_RUCUTEN][k] = only(active, out->profiles[SCIML_RUCUTEN][k] * limit);
        out->profiles[SCIML_RVCUTEN][k] = only(active, out->profiles[SCIML_RVCUTEN][k] * limit);
        if (k >= up->reach) continue;
        const vword cloud = (k >= base) & (k <= up->top),
                    inside = (k >= up->cloud_base) & (k <= up->top) & active;
        out->profiles[SCIML_RTHCUTEN][k] = only(active, a.rth[k] * limit);
        out->profiles[SCIML_RQVCUTEN][k] = only(active, a.rqv[k] * limit);
        out->profiles[SCIML_RQCCUTEN][k] = only(active, a.rqc[k] * limit);
        out->profiles[SCIML_RQRCUTEN][k] = only(active, a.rqr[k] * limit);
        out->profiles[SCIML_RQICUTEN][k] = only(active, a.rqi[k] * limit);
        if (any(cloud & deep))
            out->profiles[SCIML_CLDFRA_DP][k] = only(cloud & deep, cover(up->flux[k] * flux, 0.14, 0.6));
        if (any(cloud & shallow))
            out->profiles[SCIML_CLDFRA_SH][k] = only(cloud & shallow, cover(up->flux[k] * flux, 0.07, 0.2));
        out->profiles[SCIML_QC_CU][k] = only(inside, up->liquid[k]);
        out->profiles[SCIML_QI_CU][k] = only(inside, up->ice[k]);
    }
    out->scalars[SCIML_PRATEC] = only(active, rain * limit);
    out->scalars[SCIML_NCA] = choose(active, of->times.counter, splat(NCA_NONE));
    out->scalars[SCIML_CUTOP] = choose(active, up->top + 1.0, unity);
    out->scalars[SCIML_CUBOT] = choose(active, up->cloud_base + 1.0, splat(levels + 1.0));
    out->kind = only(active, up->kind);
    if (!out->rate[0]) return;
    put_rates(set, up, &of->down, up->flux_lcl * strength * limit, active, out);
    out->timec = only(active, of->times.adjustment);
}
