/* The coordinate of the plume that the network sees; the definition is sciml/convection/plume_coordinate.py.
 */
#include "mskf/physics.h"

layering NAMED(layering)(const sounding *s, const plume *up, int below, int cloud) {
    layering on = {.layers = below + cloud};
    vreal depth = splat(0.0), base = depth, top = depth;
    for (int k = 0; k < s->levels; k++) {
        base = choose(up->cloud_base == (double)k, depth, base);
        depth += s->dp[k];
        top = choose(up->top == (double)k, depth, top);
    }
    base = at_least(base, 1.0); /* lanes without a plume have layers of some depth too */
    top = MAX(top, base + 1.0);
    for (int i = 0; i <= on.layers; i++) {
        const vreal share = splat(i < below ? (double)i / below : (double)(i - below) / cloud);
        const vreal at = i < below ? base * share : base + (top - base) * share;
        for (int l = 0; l < LANES; l++)
            on.edge[l][i] = at[l];
    }
    return on;
}

void NAMED(layer_means)(const layering *on, const sounding *s, const plume *up, vreal *profile) {
    for (int l = 0; l < LANES; l++) {
        const double *edge = on->edge[l];
        double mean[SCIML_MOST_LAYERS], total = 0.0, face = 0.0, last = 0.0;
        const int top = (int)up->top[l];
        for (int i = 0; i < on->layers; i++)
            mean[i] = 0.0; /* of a lane without a plume */
        int i = 1; /* the next edge above */
        for (int k = 0; k <= top && i <= on->layers; k++) {
            const double value = profile[k][l], depth = s->dp[k][l];
            const double upper = face + depth;
            /* the cloud's last level has the top edge, whatever the rounding */
            while (i <= on->layers && (edge[i] < upper || k == top)) {
                const double here = total + value * (edge[i] - face);
                mean[i - 1] = (here - last) / (edge[i] - edge[i - 1]);
                last = here;
                i++;
            }
            total += value * depth;
            face = upper;
        }
        for (i = 0; i < on->layers; i++)
            profile[i][l] = mean[i];
    }
}

void NAMED(spread)(const layering *on, const sounding *s, const vreal *amounts, vreal *levels) {
    for (int l = 0; l < LANES; l++) {
        const double *edge = on->edge[l];
        double below = 0.0, last = 0.0, face = 0.0; /* the amount below this layer, and below this level */
        int i = 0;
        for (int k = 0; k < s->levels; k++) {
            face += s->dp[k][l];
            while (i < on->layers && edge[i + 1] <= face)
                below += amounts[i++][l];
            double here = below;
            if (i < on->layers) here += amounts[i][l] * ((face - edge[i]) / (edge[i + 1] - edge[i]));
            levels[k][l] = here - last;
            last = here;
        }
    }
}
