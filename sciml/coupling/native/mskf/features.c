/* The inputs of the network; the definition is sciml/convection/features.py. */
#include "mskf/physics.h"

/* The order is that of CHANNELS and SCALARS there. */
void NAMED(features)(const setting *set, const tile *t, const layering *on, vreal *levels, vreal *channels,
                     vreal *scalars) {
    const sounding *s = &t->s;
    const plume *up = &t->up;
    const downdraft *down = &t->down;
    const timing times = t->times;
    const vreal zero = splat(0.0), acting = up->flux_lcl * times.adjustment;
    vreal rain = zero, depth_cloud = zero, upper_theta = s->t[0] * exp_of(0.2854 * s->log_p[0]);
    for (int k = 0; k < up->reach; k++) {
        rain += up->rain[k] + up->snow[k];
        depth_cloud += only((k >= up->cloud_base) & (k <= up->top), s->dp[k]);
    }
    for (int k = 0; k < up->reach; k++) {
        const vword cloud = (k >= up->cloud_base) & (k <= up->top);
        const int above = k + 1 < s->levels ? k + 1 : k;
        const vreal theta = upper_theta, density = at_least(depth_cloud, 1.0) / s->dp[k];
        upper_theta = s->t[above] * exp_of(0.2854 * s->log_p[above]);
        const vreal per_rise = 1000.0 / at_least(s->z[above] - s->z[k], 1.0);
        const vreal warmer = upper_theta - theta, moister = 1e3 * (s->q[above] - s->q[k]);
        const vreal sinking = (up->flux[k] - down->flux[k]) * (acting * G / s->dp[k]);
        const vreal loaded = up->t[k] * (1.0 + 0.608 * up->q[k] - up->liquid[k] - up->ice[k]);
        const vreal values[SCIML_CHANNELS] = {
            up->flux[k],
            down->flux[k],
            up->entrained[k] * density,
            up->detrained[k] * density,
            only(cloud, loaded - s->tv[k]),
            only(cloud, 1e3 * (up->q[k] - s->q[k])),
            1e3 * (up->liquid[k] + up->ice[k]),
            1e3 * (up->rain[k] + up->snow[k]) * density,
            only(down->detrained[k] > 0.0, virtual(down->t[k], down->q[k]) - s->tv[k]),
            s->rh[k],
            warmer * per_rise,
            moister * per_rise,
            sinking * warmer,
            sinking * moister,
        };
        for (int c = 0; c < SCIML_CHANNELS; c++)
            levels[k * SCIML_CHANNELS + c] = values[c];
    }
    NAMED(layer_means)(on, s, levels, channels);
    const vreal values[SCIML_FEATURE_SCALARS] = {
        only(up->kind == (double)DEEP, splat(1.0)),
        log_of(at_least(up->cape, 1.0)),
        up->height / 1000.0,
        up->z_lcl / 1000.0,
        up->t_lcl,
        log_of(at_least(times.adjustment, 1.0)),
        up->flux_lcl * 100.0,
        log_of(at_least(t->energy.most, 1e-3)),
        log_of(at_least(NAMED(shallow_strength)(up, times), 1e-6)),
        acting / at_least(depth_cloud / G, 1.0),
        down->evaporated / at_least(rain, 1e-12),
        log_of(t->energy.strength),
        t->energy.removed,
        splat(set->factor),
    };
    for (int c = 0; c < SCIML_FEATURE_SCALARS; c++)
        scalars[c] = values[c];
}
