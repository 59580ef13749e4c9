/* The coordinate of the plume that the network sees; the definition is sciml/convection/plume_coordinate.py.
 */
#include "mskf/physics.h"

/* The part (Pa) of level k between two edges. */
INLINE vreal part(const sounding *s, int k, vreal low, vreal high) {
    const vreal bottom = s->depth[k], top = bottom + s->dp[k];
    return at_least(MIN(high, top) - MAX(low, bottom), 0.0);
}

void NAMED(lay)(const sounding *s, const plume *up, int below, int cloud, layering *on) {
    /* lanes without a plume have layers of some depth too */
    const vreal base = at_least(at_level(s->depth, up->cloud_base), 1.0);
    const vreal top = MAX(at_level(s->depth, up->top) + at_level(s->dp, up->top), base + 1.0);
    const vword lanes = up->kind != (double)NONE;
    on->layers = below + cloud;
    for (int i = 0; i < below; i++)
        on->edge[i] = base * ((double)i / below);
    for (int i = 0; i < cloud; i++)
        on->edge[below + i] = base + (top - base) * ((double)i / cloud);
    on->edge[on->layers] = top;
    int first = 0, end = 0;
    for (int i = 0; i < on->layers; i++) {
        while (first + 1 < up->reach && !any(lanes & (s->depth[first + 1] > on->edge[i])))
            first++;
        while (end < up->reach && any(lanes & (s->depth[end] < on->edge[i + 1])))
            end++;
        on->first[i] = first;
        on->end[i] = end;
    }
}

void NAMED(layer_means)(const layering *on, const sounding *s, const vreal *values, vreal *means) {
    for (int i = 0; i < on->layers; i++, means += SCIML_CHANNELS) {
        const vreal low = on->edge[i], high = on->edge[i + 1], per_depth = 1.0 / (high - low);
        vreal sum[SCIML_CHANNELS];
        for (int c = 0; c < SCIML_CHANNELS; c++)
            sum[c] = splat(0.0);
        for (int k = on->first[i]; k < on->end[i]; k++) {
            const vreal weight = part(s, k, low, high), *row = values + (ptrdiff_t)k * SCIML_CHANNELS;
#pragma GCC unroll 14
            for (int c = 0; c < SCIML_CHANNELS; c++)
                sum[c] = FMA(weight, row[c], sum[c]);
        }
        for (int c = 0; c < SCIML_CHANNELS; c++)
            means[c] = sum[c] * per_depth;
    }
}

void NAMED(spread)(const layering *on, const sounding *s, const vreal *amounts, vreal *levels) {
    for (int k = 0; k < s->levels; k++)
        levels[k] = splat(0.0);
    for (int i = 0; i < on->layers; i++) {
        const vreal low = on->edge[i], high = on->edge[i + 1], density = amounts[i] / (high - low);
        for (int k = on->first[i]; k < on->end[i]; k++)
            levels[k] = FMA(density, part(s, k, low, high), levels[k]);
    }
}
