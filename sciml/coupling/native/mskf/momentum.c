/* Momentum transport in flux form, and the direction of the cloud layer's wind; the definition is
 * sciml/convection/momentum.py. */
#include "mskf/physics.h"

/* The scheme calls its momentum transport with this g, and takes hPa for Pa in the mixing. */
#define G_MOMENTUM 9.8

void NAMED(turned)(const sounding *s, const plume *up, vreal *cosine, vreal *sine) {
    vreal u = splat(0.0), v = u;
    for (int k = 0; k < up->reach; k++) {
        const vword cloud = (k > up->cloud_base) & (k <= up->top);
        const vreal weight = only(cloud, s->p[k] / s->t[k] * s->dz[k]);
        u += weight * s->u[k];
        v += weight * s->v[k];
    }
    const vreal size = root(u * u + v * v);
    const vword calm = size <= 0.0;
    const vreal per_size = 1.0 / choose(calm, splat(1.0), size);
    *cosine = u * per_size;
    *sine = v * per_size;
}

/* The wind at the top of layer k. */
INLINE vreal face_of(const vreal *wind, int k, int levels) {
    return k + 1 < levels ? (vreal)(0.5 * (wind[k] + wind[k + 1])) : (vreal)(wind[k] + 0.0);
}

void NAMED(momentum)(const sounding *s, const plume *up, const downdraft *down, vreal strength, vreal base,
                     const vreal *push_u, const vreal *push_v, vreal *du, vreal *dv) {
    const vreal zero = splat(0.0), scale = up->flux_lcl * strength;
    vreal cloud_u = face_of(s->u, 0, s->levels), cloud_v = face_of(s->v, 0, s->levels);
    vreal lower = (up->flux[0] - down->flux[0]) * scale, flux_u = zero, flux_v = zero;
    for (int k = 0; k < s->levels; k++) {
        du[k] = dv[k] = zero;
        if (k > up->reach) /* the flux through this layer's bottom is the last one that can be there */
            continue;
        const vreal net = (up->flux[k] - down->flux[k]) * scale;
        const vword within = (k > base) & (k < up->top), rising = within & (net > 0.0) & (lower > 0.0);
        const vreal face_u = face_of(s->u, k, s->levels), face_v = face_of(s->v, k, s->levels);
        if (k > 0) {
            const vreal mean = choose(rising, 0.5 * (net + lower), splat(1.0));
            /* the scheme's sign of the downdraft's share */
            const vreal entrained = (up->entrained[k] - down->entrained[k]) * scale;
            const vreal mixing = s->p[k] / (R_DRY * s->t[k]) * entrained * (G_MOMENTUM / 100.0) / mean;
            const vreal moved_u = cloud_u + mixing * (s->u[k] - cloud_u) + push_u[k];
            const vreal moved_v = cloud_v + mixing * (s->v[k] - cloud_v) + push_v[k];
            cloud_u = choose(rising, moved_u, face_u);
            cloud_v = choose(rising, moved_v, face_v);
        }
        const vreal next_u = only(within, net * (cloud_u - face_u));
        const vreal next_v = only(within, net * (cloud_v - face_v));
        const vreal per_mass = G / s->dp[k];
        du[k] = (flux_u - next_u) * per_mass;
        dv[k] = (flux_v - next_v) * per_mass;
        flux_u = next_u;
        flux_v = next_v;
        lower = net;
    }
}
