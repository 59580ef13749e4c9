/* The inputs of the pure network: profiles in pressure layers, and scalars of the surface and the parcels;
 * the definitions are sciml/convection/prepared_profiles.py and parcels.py. */
#include "mskf/source_layer.h"

#define MIXING 0.03 /* m/Pa */
#define RATES_OF_MIXING 3
#define PARCEL_SCALARS 14
static const double mixed_rate[RATES_OF_MIXING] = {0.0, 0.5, 1.0};

/* The mixed air of one source layer. */
typedef struct parcel {
    vreal base, theta_e, t_lcl, z_lcl, q, warming, margin, radius;
} parcel;

/* All source layers of each lane. */
typedef struct sources_of {
    parcel first, warmest;
    vreal count;
} sources_of;

INLINE parcel parcel_of(const sounding *s, const source *c, int base) {
    const vreal log_p = log_of(splat(P_ZERO) / c->p);
    return (parcel){
        .base = s->p[base] - s->p[0],
        .theta_e = equivalent(log_p, c->t, c->q, c->t_lcl),
        .t_lcl = c->t_lcl,
        .z_lcl = c->z_lcl,
        .q = c->q,
        .warming = c->warming,
        .margin = between(c->t_lcl + c->warming - c->t_env, -20.0, 10.0),
        .radius = between(MAX(c->z_lcl, at_level(s->z, c->top)), 500.0, 4000.0),
    };
}

INLINE void replace(parcel *p, vword where, const parcel *other) {
    vreal *const to[] = {&p->base, &p->theta_e, &p->t_lcl,  &p->z_lcl,
                         &p->q,    &p->warming, &p->margin, &p->radius};
    const vreal from[] = {other->base, other->theta_e, other->t_lcl,  other->z_lcl,
                          other->q,    other->warming, other->margin, other->radius};
    for (int i = 0; i < 8; i++)
        *to[i] = choose(where, from[i], *to[i]);
}

/* Try all source layers; their properties by level, that at or below it, go to channels 10 and 11. */
static sources_of try_sources(const setting *set, sounding *s, vreal *levels) {
    const vword lanes = ~(vword){0};
    sources_of all = {0};
    vreal theta_e = splat(0.0), margin = theta_e;
    bases b = first_base(s);
    int ready = s->levels;
    for (int k = 0; k < s->levels; k++) {
        int more;
        const vword here = next_base(s, k, &b, lanes, &more);
        if (any(here)) {
            const source c = source_layer(set, s, k, here, &ready);
            const parcel own = parcel_of(s, &c, k);
            theta_e = choose(here, own.theta_e, theta_e);
            margin = choose(here, own.margin, margin);
            if (k == 0) all.first = all.warmest = own;
            const vword passes = here & c.passes, fresh = passes & (all.count == 0.0);
            replace(&all.first, fresh, &own);
            replace(&all.warmest, fresh | (passes & (own.theta_e > all.warmest.theta_e)), &own);
            all.count += only(passes, splat(1.0));
        }
        levels[k * SCIML_PROFILE_CHANNELS + 10] = theta_e;
        levels[k * SCIML_PROFILE_CHANNELS + 11] = margin;
    }
    return all;
}

/* Means over the layers of values (level, count); the topmost level extends to the last edge. */
INLINE void means_of(const layering *on, const sounding *s, int count, const vreal *values, vreal *means) {
    for (int i = 0; i < on->layers; i++, means += count) {
        const vreal low = on->edge[i], high = on->edge[i + 1], per_depth = 1.0 / (high - low);
        for (int c = 0; c < count; c++)
            means[c] = splat(0.0);
        for (int k = on->first[i]; k < on->end[i]; k++) {
            const vreal bottom = MAX(low, s->depth[k]), *row = values + (ptrdiff_t)k * count;
            const vreal top = k + 1 < s->levels ? MIN(high, s->depth[k] + s->dp[k]) : high;
            const vreal weight = at_least(top - bottom, 0.0);
            for (int c = 0; c < count; c++)
                means[c] = FMA(weight, row[c], means[c]);
        }
        for (int c = 0; c < count; c++)
            means[c] *= per_depth;
    }
}

/* Layers between pressure depths from the ground, in units of the surface pressure. */
static void lay_pressure(const sounding *s, const double *edges, int count, layering *on) {
    const vreal surface = s->p[0] + 0.5 * s->dp[0];
    on->layers = count;
    for (int i = 0; i <= count; i++)
        on->edge[i] = surface * edges[i];
    int first = 0, end = 0;
    for (int i = 0; i < count; i++) {
        while (first + 1 < s->levels && !any(s->depth[first + 1] > on->edge[i]))
            first++;
        while (end < s->levels && any(s->depth[end] < on->edge[i + 1]))
            end++;
        on->first[i] = first;
        on->end[i] = end;
    }
}

/* The means of wind, potential temperature and vapour, and the unit vector of the mean wind. */
static void carry_means(const sounding *s, const layering *on, vreal *levels, seen *to) {
    for (int k = 0; k < s->levels; k++) {
        vreal *row = levels + k * CARRIED;
        row[0] = s->u[k];
        row[1] = s->v[k];
        row[2] = s->t[k] * exp_of(0.2854 * s->log_p[k]);
        row[3] = s->q[k];
    }
    means_of(on, s, CARRIED, levels, to->carried);
    vreal u = splat(0.0), v = u;
    for (int i = 0; i < on->layers; i++) {
        const vreal mass = (on->edge[i + 1] - on->edge[i]) / G;
        u += mass * to->carried[i * CARRIED];
        v += mass * to->carried[i * CARRIED + 1];
    }
    const vreal size = root(u * u + v * v), per_size = 1.0 / choose(size > 0.0, size, splat(1.0));
    to->cosine = u * per_size;
    to->sine = v * per_size;
}

/* Time in which the mean of the winds at cloud base and at half the surface pressure crosses the cell (s). */
static vreal passage_of(const setting *set, const sounding *s, const parcel *p) {
    vreal base = splat(0.0), middle = base;
    vword pending = ~(vword){0};
    for (int k = 0; k < s->levels; k++) {
        const vword reached = pending & (s->z[k] >= p->z_lcl);
        base = choose(reached, splat(k), base);
        pending &= ~reached;
        middle = choose(s->p[k] >= 0.5 * s->p[0], splat(k), middle);
    }
    const vreal u = at_level(s->u, base), v = at_level(s->v, base);
    const vreal u_middle = at_level(s->u, middle), v_middle = at_level(s->v, middle);
    const vreal speed = 0.5 * (root(u * u + v * v) + root(u_middle * u_middle + v_middle * v_middle));
    return set->dx / at_least(speed, 1e-3);
}

/* Excess at each rate of mixing and height above the LCL, the channels from `first` on; and the scalars. */
static void put_parcel(const setting *set, const sounding *s, const parcel *p, const vreal *saturated,
                       int first, vreal *levels, vreal passage, vreal *scalars) {
    vreal energy[RATES_OF_MIXING], reach[RATES_OF_MIXING], theta[RATES_OF_MIXING];
    for (int r = 0; r < RATES_OF_MIXING; r++) {
        energy[r] = reach[r] = splat(0.0);
        theta[r] = p->theta_e;
    }
    const vreal per_radius = set->factor / p->radius;
    for (int k = 0; k < s->levels; k++) {
        vreal *row = levels + k * SCIML_PROFILE_CHANNELS + first;
        const vword inside = s->z[k] >= p->z_lcl;
        const vreal height = log_of(1.0 + s->dp[k] / s->p[k]);
        for (int r = 0; r < RATES_OF_MIXING; r++) {
            if (r) {
                const vreal share = s->dp[k] * (mixed_rate[r] * MIXING) * per_radius;
                theta[r] = choose(inside, (theta[r] + share * s->theta_e[k]) / (1.0 + share), theta[r]);
            }
            row[r] = theta[r] - saturated[k];
            const vreal positive = at_least(only(inside, row[r]), 0.0);
            energy[r] = FMA(positive, height, energy[r]);
            reach[r] += only(positive > 0.0, height);
        }
        row[RATES_OF_MIXING] = between((s->z[k] - p->z_lcl) / 1000.0, -3.0, 15.0);
    }
    const vreal values[] = {p->base / 100.0, p->theta_e, p->t_lcl,  p->z_lcl / 1000.0,
                            1e3 * p->q,      p->warming, p->margin, log_of(passage)};
    memcpy(scalars, values, sizeof values);
    for (int r = 0; r < RATES_OF_MIXING; r++) {
        scalars[8 + r] = log_of(0.1 + energy[r]);
        scalars[8 + RATES_OF_MIXING + r] = reach[r];
    }
}

/* Velocity scale of the layer below the cloud (m/s). */
static vreal velocity_of(const sounding *s, const parcel *p) {
    const vreal warmth = G / s->t[0] * at_least(s->hfx, 0.0) / (s->rho[0] * CP), ust = s->ust * s->ust;
    const vreal heating = power_of(at_least(warmth * at_least(p->z_lcl, 1.0), 1e-30), 0.333);
    const vreal stability = power_of(at_least(-s->zol, 1e-300), 2.0 / 3.0);
    const vreal unstable = 0.22 * heating * heating + 1.9 * ust * stability;
    return at_least(root(3.8 * ust + only(s->zol <= 0.0, unstable)), 0.1);
}

/* The channels of the air itself. */
static void put_air(const sounding *s, const seen *to, const vreal *saturated, vreal *levels) {
    vreal upper = s->t[0] * exp_of(0.2854 * s->log_p[0]);
    for (int k = 0; k < s->levels; k++) {
        vreal *row = levels + k * SCIML_PROFILE_CHANNELS;
        const int above = k + 1 < s->levels ? k + 1 : k;
        const vreal theta = upper, w = s->w[k];
        upper = s->t[above] * exp_of(0.2854 * s->log_p[above]);
        const vreal rise = at_least(s->z[above] - s->z[k], 1.0) / 1000.0;
        const vreal lifting = only(w != 0.0, power_of(at_least(absolute(w), 1e-300), 1.0 / 3.0));
        row[0] = s->t[k];
        row[1] = s->rh[k];
        row[2] = 1e3 * s->q[k];
        row[3] = s->theta_e[k];
        row[4] = saturated[k];
        row[5] = (upper - theta) / rise;
        row[6] = 1e3 * (s->q[above] - s->q[k]) / rise;
        row[7] = choose(w < 0.0, -lifting, lifting);
        row[8] = to->cosine * s->u[k] + to->sine * s->v[k];
        row[9] = to->cosine * s->v[k] - to->sine * s->u[k];
    }
}

void NAMED(prepare)(const setting *set, tile *t, const double *edges, int count, layering *on, vreal *levels,
                    vreal *channels, vreal *scalars, seen *to) {
    sounding *s = &t->s;
    vreal *const saturated = s->humidity; /* which the pure network does not need */
    lay_pressure(s, edges, count, on);
    carry_means(s, on, levels, to);
    for (int k = 0; k < s->levels; k++)
        saturated[k] = equivalent(s->log_p[k], s->t[k], saturation(s->p[k], s->t[k]), s->t[k]);
    const sources_of all = try_sources(set, s, levels);
    put_air(s, to, saturated, levels);
    const parcel *const parcels[] = {&all.first, &all.warmest};
    for (int n = 0; n < 2; n++) {
        const vreal passage = passage_of(set, s, parcels[n]);
        if (n == 0) to->passage = passage;
        put_parcel(set, s, parcels[n], saturated, 12 + n * (RATES_OF_MIXING + 1), levels, passage,
                   scalars + n * PARCEL_SCALARS);
    }
    const vreal rest[] = {all.count,
                          log_of(velocity_of(s, &all.first)),
                          s->ust,
                          s->hfx,
                          s->pblh / 1000.0,
                          s->p[0] / 100.0,
                          splat(set->factor)};
    memcpy(scalars + 2 * PARCEL_SCALARS, rest, sizeof rest);
    means_of(on, s, SCIML_PROFILE_CHANNELS, levels, channels);
}
