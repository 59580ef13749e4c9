/* The inputs of the network; the definition is sciml/convection/features.py. */
#include "mskf/physics.h"

/* The order is that of CHANNELS and SCALARS there. */
void NAMED(features)(const sounding *s, const plume *up, const downdraft *down, timing times, int levels,
                     vreal *channels, vreal *scalars) {
    const vreal zero = splat(0.0), acting = up->flux_lcl * times.adjustment;
    vreal rain = zero, mass_cloud = zero, upper_theta = s->t[0] * exp_of(0.2854 * s->log_p[0]);
    for (int k = 0; k < s->levels; k++) {
        const vword cloud = (k >= up->cloud_base) & (k <= up->top);
        const int above = k + 1 < s->levels ? k + 1 : k;
        const vreal theta = upper_theta;
        if (k < levels) upper_theta = s->t[above] * exp_of(0.2854 * s->log_p[above]);
        rain += up->rain[k] + up->snow[k];
        mass_cloud += only(cloud, s->dp[k] / G);
        if (k >= levels) continue;
        const vreal per_rise = 1000.0 / at_least(s->z[above] - s->z[k], 1.0);
        const vreal warmer = upper_theta - theta, moister = 1e3 * (s->q[above] - s->q[k]);
        const vreal sinking = (up->flux[k] - down->flux[k]) * (acting * G / s->dp[k]);
        const vreal loaded = up->t[k] * (1.0 + 0.608 * up->q[k] - up->liquid[k] - up->ice[k]);
        const vreal values[SCIML_CHANNELS] = {
            up->flux[k],
            down->flux[k],
            up->entrained[k],
            up->detrained[k],
            only(cloud, loaded - s->tv[k]),
            only(cloud, 1e3 * (up->q[k] - s->q[k])),
            1e3 * (up->liquid[k] + up->ice[k]),
            1e3 * (up->rain[k] + up->snow[k]),
            only(down->detrained[k] > 0.0, virtual(down->t[k], down->q[k]) - s->tv[k]),
            s->rh[k],
            warmer * per_rise,
            moister * per_rise,
            sinking * warmer,
            sinking * moister,
        };
        for (int c = 0; c < SCIML_CHANNELS; c++)
            channels[c * levels + k] = values[c];
    }
    const vreal values[SCIML_FEATURE_SCALARS] = {
        only(up->kind == (double)DEEP, splat(1.0)),
        log_of(at_least(up->cape, 1.0)),
        up->height / 1000.0,
        up->z_lcl / 1000.0,
        up->t_lcl,
        log_of(at_least(times.adjustment, 1.0)),
        up->flux_lcl * 100.0,
        log_of(at_least(NAMED(greatest_strength)(s, up, down, times), 1e-3)),
        log_of(at_least(NAMED(shallow_strength)(up, times), 1e-6)),
        acting / at_least(mass_cloud, 1.0),
        down->evaporated / at_least(rain, 1e-12),
    };
    for (int c = 0; c < SCIML_FEATURE_SCALARS; c++)
        scalars[c] = values[c];
}
