/* Reading columns into lanes, what is derived from them, the source layers and the parcel test; the
 * definitions are sciml/convection/sounding.py and source.py. */
#include "mskf/source_layer.h"

#include <math.h>

/* One level of one field: the lanes' values, from any memory order. */
INLINE vreal fetch(const void *field, int bits, const ptrdiff_t where[LANES]) {
    vreal x = splat(0.0);
    for (int l = 0; l < LANES; l++)
        x[l] = bits == 64 ? ((const double *)field)[where[l]] : (double)((const float *)field)[where[l]];
    return x;
}

/* All levels of one field. Two orders have a short way: neighbours in memory (WRF's own order, where the
 * columns are neighbours too), and columns whose levels lie one after the other. */
INLINE void fetch_profile(const void *field, int bits, const ptrdiff_t start[LANES], ptrdiff_t apart,
                          int levels, vreal *to) {
    ptrdiff_t where[LANES];
    int neighbours = 1, k = 0;
    for (int l = 0; l < LANES; l++) {
        where[l] = start[l];
        neighbours &= start[l] == start[0] + l;
    }
    if (neighbours && bits == 32) {
        for (; k < levels; k++)
            to[k] = from_floats((const float *)field + start[0] + k * apart);
        return;
    }
#if HAS_FOURS
    for (; bits == 32 && apart == 1 && k + 4 <= levels; k += 4) {
        const float *from[LANES];
        for (int l = 0; l < LANES; l++)
            from[l] = (const float *)field + start[l] + k;
        load_fours(from, to + k);
    }
#endif
    for (int l = 0; l < LANES; l++)
        where[l] += k * apart;
    for (; k < levels; k++) {
        to[k] = fetch(field, bits, where);
        for (int l = 0; l < LANES; l++)
            where[l] += apart;
    }
}

INLINE vword read_as(int bits, const setting *set, const int64_t column[LANES], sounding *s) {
    const sciml_columns *in = set->in;
    const sciml_mskf_domain *d = &in->domain;
    vreal *const to[SCIML_INPUT_PROFILES] = {
        [SCIML_U] = s->u,     [SCIML_V] = s->v,     [SCIML_T] = s->t,
        [SCIML_QV] = s->qv,   [SCIML_P_HYD] = s->p, [SCIML_DZ8W] = s->dz,
        [SCIML_RHO] = s->rho, [SCIML_PI] = s->pi,   [SCIML_W0AVG] = s->w};
    ptrdiff_t start[LANES], below[LANES];
    for (int l = 0; l < LANES; l++) {
        const int64_t i = column[l] % d->ni, j = column[l] / d->ni;
        start[l] = i * d->s3[0] + j * d->s3[2];
        below[l] = i * d->s2[0] + j * d->s2[1];
    }
    for (int f = 0; f < SCIML_INPUT_PROFILES; f++) /* NULL: the physics does not use this one */
        if (to[f]) fetch_profile(in->in3[f], bits, start, d->s3[1], set->levels, to[f]);
    s->zol = fetch(in->in2[SCIML_ZOL], bits, below);
    s->hfx = fetch(in->in2[SCIML_HFX], bits, below);
    s->ust = fetch(in->in2[SCIML_UST], bits, below);
    s->pblh = fetch(in->in2[SCIML_PBLH], bits, below);
    /* What is not a number fails every comparison; sciml_mskf.h lists the bounds. They lie far beyond all
     * weather: what exceeds them is a host's mistake. ZOL goes with 1 / UST^2, and in WRF reaches 1e4 in calm
     * nights. */
    vreal lower = splat(SCIML_MOST_P_HYD);
    vword sound = (absolute(s->zol) <= SCIML_MOST_ZOL) & (absolute(s->hfx) <= SCIML_MOST_HFX);
    sound &= (s->ust >= SCIML_LEAST_UST) & (s->ust <= SCIML_MOST_UST);
    sound &= (s->pblh >= SCIML_LEAST_PBLH) & (s->pblh <= SCIML_MOST_PBLH);
    for (int k = 0; k < set->levels; k++) {
        const vreal p = s->p[k], t = s->t[k], gas = s->rho[k] * R_DRY * t;
        sound &= (absolute(s->u[k]) <= SCIML_MOST_U) & (absolute(s->v[k]) <= SCIML_MOST_V);
        sound &= absolute(s->w[k]) <= SCIML_MOST_W0AVG;
        sound &= (t > SCIML_LEAST_T) & (t < SCIML_MOST_T) & (p > SCIML_LEAST_P_HYD) & (p < lower);
        sound &= absolute(s->qv[k]) < SCIML_MOST_QV;
        sound &= (s->dz[k] > SCIML_LEAST_DZ8W) & (s->dz[k] < SCIML_MOST_DZ8W);
        sound &= (gas > 0.5 * p) & (gas < 2.0 * p);
        sound &= (s->pi[k] > SCIML_LEAST_PI) & (s->pi[k] < SCIML_MOST_PI);
        lower = p;
    }
    return sound;
}

vword NAMED(read)(const setting *set, const int64_t column[LANES], sounding *s) {
    return set->in->bits == 64 ? read_as(64, set, column, s) : read_as(32, set, column, s);
}

void NAMED(derive_low)(sounding *s, int from, int to) {
    for (int k = from; k < to; k++)
        derive_level(s, k);
}

void NAMED(derive)(const setting *set, sounding *s) {
    const vreal p_zero = splat(P_ZERO);
    vreal depth = splat(0.0);
    for (int k = 0; k < s->levels; k++) {
        derive_level(s, k);
        s->depth[k] = depth;
        depth += s->dp[k];
        const vreal p = s->p[k], t = s->t[k], q = s->q[k];
        s->tv[k] = virtual(t, q);
        s->log_p[k] = log_of(p_zero / p);
        s->theta_e[k] = equivalent(s->log_p[k], t, q, lifted(set->tables, p, t, q));
        const place at = place_of(set->tables, p);
        s->index[k] = at.index;
        s->weight[k] = at.weight;
        s->start[k] = at.start;
        /* relative humidity over ice below 273.16 K, over water above */
        const vreal d = t - 273.16;
        const vword cold = t <= 273.16;
        const vreal power = choose(cold, splat(21.87), splat(17.67)) * d / choose(cold, t - 7.66, 243.5 + d);
        const vreal e = 611.2 * exp_of(power);
        s->humidity[k] = q / (RATIO * e / (p - e));
    }
}

vword NAMED(parcel_test)(const setting *set, sounding *s, vword lanes) {
    vword passed = {0};
    bases b = first_base(s);
    int more = 1, ready = 0;
    for (int k = 0; k < s->levels && more; k++) {
        const vword here = next_base(s, k, &b, lanes & ~passed, &more);
        if (any(here)) passed |= source_layer(set, s, k, here, &ready).passes;
    }
    return passed;
}

void NAMED(sources)(const setting *set, sounding *s, launches *starts) {
    const vword lanes = ~(vword){0};
    bases b = first_base(s);
    int more = 1, ready = s->levels;
    memset(starts->count, 0, sizeof starts->count);
    for (int k = 0; k < s->levels && more; k++) {
        const vword here = next_base(s, k, &b, lanes, &more);
        if (!any(here)) continue;
        const source c = source_layer(set, s, k, here, &ready);
        if (!any(c.passes)) continue;
        vreal item[L_COUNT];
        item[L_BASE] = splat(k);
        item[L_TOP] = c.top;
        item[L_DEPTH] = c.depth;
        item[L_T] = c.t;
        item[L_Q] = c.q;
        item[L_Z] = c.z;
        item[L_P] = c.p;
        item[L_T_LCL] = c.t_lcl;
        item[L_Z_LCL] = c.z_lcl;
        item[L_ABOVE] = c.above;
        item[L_TV_LCL] = virtual(c.t_lcl, c.q);
        item[L_TV_ENV] = virtual(c.t_env, c.q_env);
        item[L_FLUX_LCL] = 0.01 * c.p_lcl / (R_DRY * item[L_TV_LCL]);
        const vreal radius = between(MAX(c.z_lcl, at_level(s->z, c.top)), 500.0, 4000.0);
        item[L_MIX] = 0.03 * set->factor / radius;
        const vreal rise = 1.0 + 0.5 * root(2.0 * G * c.warming * 500.0 / item[L_TV_ENV]);
        const vreal speed = choose(c.warming > 1e-4, at_most(rise, 3.0), splat(1.0));
        item[L_ENERGY] = speed * speed;
        const vreal log_p = log_of(splat(P_ZERO) / c.p);
        item[L_THETA] = equivalent(log_p, c.t, c.q, lifted(set->tables, c.p, c.t, c.q));
        for (int l = 0; l < LANES; l++)
            if (c.passes[l] && starts->count[l] < MOST_SOURCES) {
                double *to = starts->item[l][starts->count[l]++];
                for (int i = 0; i < L_COUNT; i++)
                    to[i] = item[i][l];
            }
    }
}
