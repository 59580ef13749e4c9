/* One source layer of each lane, mixed and lifted, and the scheme's trigger; the definition is
 * sciml/convection/source_layer.py. */
#ifndef SCIML_SOURCE_LAYER_H
#define SCIML_SOURCE_LAYER_H

#include "mskf/physics.h"

#define SOURCE_DEPTH 5.0e3
#define SOURCE_STEP 15.0e2
#define SOURCE_REACH 300.0e2

/* The scheme's mixing ratio: no more than saturation, no less than 1e-6. */
INLINE void derive_level(sounding *s, int k) {
    const vreal saturated = saturation(s->p[k], s->t[k]);
    s->q[k] = at_least(MIN(s->qv[k], saturated), 1e-6);
    s->rh[k] = s->q[k] / saturated;
    s->dp[k] = s->rho[k] * G * s->dz[k];
    /* the mid-level's height; the level's own bottom is the last one's middle plus half of it */
    vreal bottom = splat(0.0);
    if (k) bottom = s->z[k - 1] + 0.5 * s->dz[k - 1];
    s->z[k] = bottom + 0.5 * s->dz[k];
}

/* One source layer of every lane, mixed and lifted to its condensation level. */
typedef struct source {
    vreal top, depth, t, q, z, p, t_lcl, z_lcl, above, t_env, q_env, p_lcl, warming;
    vword passes;
} source;

INLINE vreal mixed_at(vreal low, vreal high, vreal weight) {
    return low + (high - low) * weight;
}

/* Mix the source layer that starts at `base`, lift it, and try the scheme's trigger. *ready: levels that
 * are derived already; the lanes of `wanted` alone decide how far this looks. */
INLINE source source_layer(const setting *set, sounding *s, int base, vword wanted, int *ready) {
    source c = {0};
    for (int k = base; k < s->levels; k++) {
        const vword mixing = c.depth <= SOURCE_DEPTH;
        if (!any(mixing & wanted)) break;
        if (k >= *ready) derive_level(s, (*ready)++);
        const vreal dp = only(mixing, s->dp[k]);
        c.depth += dp;
        c.t += dp * s->t[k];
        c.q += dp * s->q[k];
        c.z += dp * s->z[k];
        c.p += dp * s->p[k];
        c.top = choose(mixing, splat(k), c.top);
    }
    c.t /= c.depth;
    c.q /= c.depth;
    c.z /= c.depth;
    c.p /= c.depth;
    c.t_lcl = MIN(lifted(set->tables, c.p, c.t, c.q), c.t);
    c.z_lcl = c.z + (c.t_lcl - c.t) / LAPSE;
    /* the first level at or above it, and the environment between that level and the one below */
    vword pending = wanted;
    vreal w_lcl = splat(0.0);
    c.p_lcl = c.t_env = c.q_env = splat(1.0);
    for (int k = base > 1 ? base : 1; k < s->levels; k++) {
        if (k >= *ready) derive_level(s, (*ready)++);
        const vword reached = pending & (s->z[k] >= c.z_lcl);
        if (!any(reached)) continue;
        const vreal weight = (c.z_lcl - s->z[k - 1]) / (s->z[k] - s->z[k - 1]);
        c.above = choose(reached, splat(k), c.above);
        c.t_env = choose(reached, mixed_at(s->t[k - 1], s->t[k], weight), c.t_env);
        c.q_env = choose(reached, mixed_at(s->q[k - 1], s->q[k], weight), c.q_env);
        c.p_lcl = choose(reached, mixed_at(s->p[k - 1], s->p[k], weight), c.p_lcl);
        w_lcl = choose(reached, mixed_at(s->w[k - 1], s->w[k], weight), w_lcl);
        pending &= ~reached;
        if (!any(pending)) break;
    }
    if (any(pending)) { /* no level is as high: it cannot pass, but has a margin */
        const int k = base > 1 ? base : 1;
        const vreal weight = (c.z_lcl - s->z[k - 1]) / (s->z[k] - s->z[k - 1]);
        c.t_env = choose(pending, mixed_at(s->t[k - 1], s->t[k], weight), c.t_env);
        w_lcl = choose(pending, mixed_at(s->w[k - 1], s->w[k], weight), w_lcl);
    }
    const double grid = set->dx >= 25.0e3 ? set->dx / 25.0e3 : 1.0;
    const vreal excess = w_lcl * grid - 0.02 * at_most(c.z_lcl, 2000.0) / 2000.0;
    c.passes = wanted & ~pending & (c.depth > SOURCE_DEPTH);
    const vword lifting = excess >= 1e-4;
    c.warming = splat(0.0);
    if (any(lifting & wanted)) c.warming = only(lifting, 4.64 * power_of(at_least(excess, 1e-4), 0.33));
    c.passes &= c.t_lcl + c.warming - c.t_env >= -1e-4;
    return c;
}

/* Goes through the bases of the source layers; `step` is called for the lanes that start one there. */
typedef struct bases {
    vreal threshold, limit;
} bases;

INLINE bases first_base(const sounding *s) {
    return (bases){s->p[0] - SOURCE_STEP, s->p[0] - SOURCE_REACH};
}

/* The lanes with a base at level k; *more: whether any lane can have one further up. */
INLINE vword next_base(const sounding *s, int k, bases *b, vword lanes, int *more) {
    *more = any(lanes & (s->p[k] >= b->limit));
    if (k == 0) return lanes;
    const vword hit = (s->p[k] < b->threshold) & (s->p[k] >= b->limit);
    b->threshold -= only(hit, splat(SOURCE_STEP));
    return hit & lanes;
}

#endif
