/* Outputs of the pure network on the levels of a host, with the constraints that hold for any prediction; the
 * definition is sciml/convection/level_outputs.py. */
#include "mskf/layer_outputs.h"

#define LEAST_COVER 5e-3
#define LEAST_CONDENSATE 1e-7 /* kg/kg */
#define MOST_TIME 86400.0     /* s */
#define MOST_VAPOUR 0.95      /* share of a level's vapour that a step may take */
#define SAFE (1.0 - 1e-6)

/* Change x in proportion to its size, so that the column integral with others (NULL: none) is minus a loss.
 */
static void close_column(const sounding *s, vreal *x, vreal *const others[3], vreal loss) {
    vreal surplus = loss, size = splat(0.0);
    for (int k = 0; k < s->levels; k++) {
        const vreal mass = s->dp[k] / G;
        vreal sum = x[k];
        if (others) sum += others[0][k] + others[1][k] + others[2][k];
        surplus += mass * sum;
        size += mass * absolute(x[k]);
    }
    const vreal share = surplus / at_least(size, 1e-30);
    for (int k = 0; k < s->levels; k++)
        x[k] -= share * absolute(x[k]);
}

/* In which level the middle of a layer lies. */
static vreal level_of(const sounding *s, const layering *on, vreal number) {
    const vreal middle = 0.5 * (at_level(on->edge, number) + at_level(on->edge, number + 1.0));
    vreal level = splat(0.0);
    for (int k = 1; k < s->levels; k++)
        level = choose(s->depth[k] <= middle, splat(k), level);
    return level;
}

/* NCA (s): whole steps for deep convection, CUDT for shallow. */
static vreal hold_time(const setting *set, vreal passage, const layer_outputs *in) {
    const vreal time = at_most(between(passage, 60.0, MOST_TIME) * exp_of(in->time), MOST_TIME);
    const vreal steps = at_least(floor_of(at_most(time / set->dt, 2e9) + 0.5), 1.0);
    return choose(in->deep, steps * set->dt, splat(set->cudt * 60.0));
}

/* How far all of the column's convection is weakened, so that no level loses more vapour than it has. */
static vreal limit_of(const setting *set, const sounding *s, const vreal *vapour, vword active) {
    vreal least = splat(1e30);
    for (int k = 0; k < s->levels; k++) {
        const vreal share = at_least(s->qv[k], 0.0) / set->dt / at_least(-vapour[k], 1e-300);
        least = MIN(choose(vapour[k] < 0.0, share, splat(1.0)), least);
    }
    return only(active, at_most(SAFE * least, 1.0));
}

static void put_cloud(const sounding *s, const layer_outputs *in, vreal top, const vreal *levels,
                      response *out) {
    const int n = s->levels;
    const vword shallow = in->active & ~in->deep, deep = in->active & in->deep;
    for (int k = 0; k < n; k++) {
        const vword inside = in->active & (splat(k) <= top);
        const vreal cover = levels[O_COVER * n + k], liquid = levels[O_LIQUID * n + k];
        const vreal ice = levels[O_ICE * n + k];
        out->profiles[SCIML_CLDFRA_DP][k] = only(inside & deep & (cover >= LEAST_COVER), cover);
        out->profiles[SCIML_CLDFRA_SH][k] = only(inside & shallow & (cover >= LEAST_COVER), cover);
        out->profiles[SCIML_QC_CU][k] = only(inside & (liquid >= LEAST_CONDENSATE), liquid);
        out->profiles[SCIML_QI_CU][k] = only(inside & (ice >= LEAST_CONDENSATE), ice);
    }
}

void NAMED(outputs_on_levels)(const setting *set, const sounding *s, const layering *on, const seen *of,
                              const layer_outputs *in, vreal *levels, response *out) {
    const int n = s->levels;
    static const int places[] = {SCIML_RTHCUTEN, SCIML_RQVCUTEN, SCIML_RQCCUTEN, SCIML_RQICUTEN,
                                 SCIML_RQRCUTEN, SCIML_RUCUTEN,  SCIML_RVCUTEN};
    for (int o = 0; o < O_COUNT; o++) {
        vreal *const values = in->values + o * on->layers;
        for (int i = 0; i < on->layers; i++)
            values[i] *= on->edge[i + 1] - on->edge[i];
        NAMED(spread)(on, s, values, levels + o * n);
        for (int k = 0; k < n; k++)
            levels[o * n + k] /= s->dp[k];
    }
    vreal *const vapour = levels + O_RQV * n;
    vreal *const condensate[] = {levels + O_RQC * n, levels + O_RQI * n, levels + O_RQR * n};
    for (int k = 0; k < n; k++)
        vapour[k] = MAX(vapour[k], -MOST_VAPOUR * at_least(s->qv[k], 0.0) / set->dt);
    close_column(s, vapour, condensate, in->rain);
    close_column(s, levels + O_RU * n, NULL, splat(0.0));
    close_column(s, levels + O_RV * n, NULL, splat(0.0));
    const vreal limit = limit_of(set, s, vapour, in->active);
    for (int o = 0; o <= O_RV; o++)
        for (int k = 0; k < n; k++)
            out->profiles[places[o]][k] = only(in->active, levels[o * n + k] * limit);
    const vreal top = level_of(s, on, in->top), base = MIN(level_of(s, on, in->base), top);
    put_cloud(s, in, top, levels, out);
    for (int k = 0; k < n; k++)
        out->profiles[SCIML_RQSCUTEN][k] = splat(0.0);
    for (int f = 0; f < SCIML_RATES && out->rate[0]; f++)
        for (int k = 0; k < n; k++)
            out->rate[f][k] = splat(0.0);
    const vword active = in->active;
    out->scalars[SCIML_PRATEC] = only(active & in->deep, in->rain * limit);
    out->scalars[SCIML_NCA] = choose(active, hold_time(set, of->passage, in), splat(NCA_NONE));
    out->scalars[SCIML_CUTOP] = choose(active, top + 1.0, splat(1.0));
    out->scalars[SCIML_CUBOT] = choose(active, base + 1.0, splat(n + 1.0));
    out->kind = only(active, choose(in->deep, splat(DEEP), splat(SHALLOW)));
    out->timec = splat(0.0);
}
