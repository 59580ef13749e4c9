/* Forcing of the pressure by the cloud's own circulation; the definition is sciml/convection/circulation.py.
 */
#ifndef SCIML_CIRCULATION_H
#define SCIML_CIRCULATION_H

#include "mskf/physics.h"

#define CLOUD_RADIUS 3000.0
#define FAR 50000.0
#define MODE (3.8317 / CLOUD_RADIUS)
#define AT_FIRST_ROOT (-0.402759)
#define AMPLITUDE (0.8 / 0.179503)
#define GRAVITY_CMT 9.8

/* The level at which the downdraft starts, and the areas of the drafts over their depths. */
typedef struct drafts {
    vreal start, up, down;
} drafts;

INLINE vreal face_density(const sounding *s, int k) {
    const vreal here = s->p[k] / (R_DRY * s->t[k]);
    if (k + 1 == s->levels) return here;
    return 0.5 * (here + s->p[k + 1] / (R_DRY * s->t[k + 1]));
}

/* a / b where b is positive, zero elsewhere. */
INLINE vreal over(vreal a, vreal b) {
    return only(b > 0.0, a / choose(b > 0.0, b, splat(1.0)));
}

INLINE vreal dry_energy(vreal t, vreal q, vreal top) {
    return CP * (t * (1.0 + RATIO * q)) + G * top;
}

/* Saturated air where the downdraft starts: temperature, and the mask of lanes that have a downdraft. */
typedef struct beginning {
    vreal t;
    vword exists;
} beginning;

INLINE beginning begin(const setting *set, const sounding *s, const downdraft *down, int reach) {
    vreal most = splat(0.0);
    for (int k = 0; k < reach; k++)
        most = MAX(most, down->flux[k]);
    const vreal level = between(down->start, 0.0, s->levels - 1);
    const place at = {at_level(s->index, level), at_level(s->weight, level), at_level(s->start, level)};
    return (beginning){wet_adiabat(set->tables, at, at_level(s->theta_e, level)).t, most > 0.0};
}

/* Buoyancy of the updraft less that of the downdraft (m/s2) at the top of level k, which lies at `top` (m);
 * `next` is the top of the level above. */
INLINE vreal buoyancy(const sounding *s, const plume *up, const downdraft *down, vreal base,
                      const beginning *first, int k, vreal top, vreal next) {
    const vreal around = dry_energy(s->t[k], s->q[k], top), specific = s->q[k] / (1.0 + s->q[k]);
    vreal energy_face = around, vapour_face = s->q[k];
    if (k + 1 < s->levels) {
        energy_face = 0.5 * (around + dry_energy(s->t[k + 1], s->q[k + 1], next));
        vapour_face = 0.5 * (specific + s->q[k + 1] / (1.0 + s->q[k + 1]));
    }
    const vreal height = GRAVITY_CMT / CP * top;
    const vreal scale = (energy_face - height) * (1.0 + 0.608 * vapour_face);
    const vword cloud = (k >= base) & (k <= up->top), here = first->exists & (down->start == (double)k);
    const vreal sinking = choose(here, first->t, down->t[k]), q_down = choose(here, s->q[k], down->q[k]);
    const vreal t[2] = {choose(up->t[k] > 0.0, up->t[k], s->t[k]), choose(sinking > 0.0, sinking, s->t[k])};
    const vreal q[2] = {up->q[k] / (1.0 + up->q[k]), q_down / (1.0 + q_down)};
    vreal lift[2];
    for (int i = 0; i < 2; i++) {
        const vreal value = choose(cloud, dry_energy(t[i], q[i], top), around);
        const vreal vapour = choose(cloud, q[i], specific);
        const vreal moist = vapour * (value - height) - vapour_face * (energy_face - height);
        lift[i] = (value - energy_face + 0.608 * moist) / scale * GRAVITY_CMT;
    }
    return lift[0] - lift[1];
}

/* The terms of the forcing times density, on the levels below `reach`. */
INLINE void circulation_forcing(const setting *set, const sounding *s, const plume *up, const downdraft *down,
                                vreal base, const drafts *d, vreal *scratch, vreal *first, vreal *second,
                                vreal *third) {
    const vreal zero = splat(0.0);
    const int levels = s->levels, reach = up->reach;
    vreal *const divergence = scratch, *const exchange = scratch + levels;
    const beginning start = begin(set, s, down, reach);
    vreal net_low = zero, up_low = zero, down_low = zero, area_up_low = zero, area_down_low = zero;
    for (int k = 0; k < reach; k++) {
        const vreal density = s->p[k] / (R_DRY * s->t[k]), dz = s->dz[k];
        const vreal rising = up->flux[k], sinking = -down->flux[k], net = rising + sinking;
        const vreal area_up = only(k <= up->top, d->up), area_down = only(k <= d->start, d->down);
        const vreal mid_up = 0.5 * (area_up + area_up_low), mid_down = 0.5 * (area_down + area_down_low);
        const vreal mid = 0.5 * (area_up + area_down + (area_up_low + area_down_low));
        const vword inside = (k > base) & (k <= up->top);
        const vreal per = density * dz * mid;
        divergence[k] = only(inside, over(net_low - net, per));
        divergence[k] = choose(base == (double)k, over(-net, per), divergence[k]);
        const vreal apart = over(rising - up_low, mid_up * dz) - over(sinking - down_low, mid_down * dz);
        const vreal size = over(mid_down, mid * density) * apart * AMPLITUDE / (MODE * MODE);
        exchange[k] = only(inside & (mid > 0.0) & (mid_up > 0.0) & (mid_down > 0.0), size);
        net_low = net;
        up_low = rising;
        down_low = sinking;
        area_up_low = area_up;
        area_down_low = area_down;
    }
    net_low = zero;
    vreal speed_low = zero, swing_low = zero, lift_low = zero, face_low = zero, top = zero;
    vreal turning_low = zero, displaced_low = zero; /* divergence and exchange at the lower face */
    for (int k = 0; k < reach; k++) {
        const int above = k + 1 < levels ? k + 1 : k, below = k ? k - 1 : 0;
        const vreal density = s->p[k] / (R_DRY * s->t[k]), dz = s->dz[k], face = face_density(s, k);
        top += dz;
        const vreal net = up->flux[k] - down->flux[k];
        const vreal area_up = only(k <= up->top, d->up), area_down = only(k <= d->start, d->down);
        const vreal area = area_up + area_down;
        const vreal speed = only(area > 0.0, net / (face * at_least(area, 1e-30)));
        const vword side = (k >= base) & (k <= d->start) & (area_up > 0.0) & (area_down > 0.0);
        const vreal apart = over(up->flux[k], area_up) + over(down->flux[k], area_down);
        const vreal swing = only(side, AMPLITUDE * apart * over(area_down, area * face));
        vreal lift = zero;
        if (any(side))
            lift = only(side, AMPLITUDE * buoyancy(s, up, down, base, &start, k, top, top + s->dz[above]) *
                                  over(area_down, area));
        const vreal turning = 0.5 * ((k + 1 < reach ? divergence[k + 1] : zero) + divergence[k]);
        const vreal displaced = 0.5 * ((k + 1 < reach ? exchange[k + 1] : zero) + exchange[k]);
        const vreal mid_speed = 0.5 * (speed + speed_low), mid_swing = 0.5 * (swing + swing_low);
        first[k] = second[k] = third[k] = zero;
        const vword rises = (k > base) & (k <= up->top) & (net > 0.0) & (net_low > 0.0);
        if (k && any(rises)) {
            const vreal far_up = k + 1 < levels ? s->z[above] - s->z[k] : top - s->z[k];
            const vreal far_down = s->z[k] - s->z[below];
            const vreal log = log_of(density);
            const vreal log_up = log_of(s->p[above] / (R_DRY * s->t[above]));
            const vreal log_down = log_of(s->p[below] / (R_DRY * s->t[below]));
            const vreal curvature = log_up / (dz * far_up) - (1.0 / far_up + 1.0 / far_down) / dz * log +
                                    log_down / (dz * far_down);
            const vreal shearing = (speed - speed_low) * (swing - swing_low) / (dz * dz);
            const vreal lifting = (face * lift - face_low * lift_low) / (dz * density);
            first[k] =
                only(rises, density * (divergence[k] * exchange[k] * (MODE * MODE) -
                                       2.0 * (shearing - mid_speed * mid_swing * curvature) + lifting));
            second[k] = only(rises, density * (-(turning - turning_low) / dz * mid_swing));
            third[k] = only(rises, density * (2.0 * mid_speed * CLOUD_RADIUS / (FAR * FAR) *
                                              (displaced - displaced_low) / dz * MODE * AT_FIRST_ROOT));
        }
        net_low = net;
        speed_low = speed;
        swing_low = swing;
        lift_low = lift;
        face_low = face;
        turning_low = turning;
        displaced_low = displaced;
    }
}

#endif
