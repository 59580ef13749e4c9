/* The emulator that computes the plume and learns the rest; the definition is sciml/convection/network.py. */
#include "mskf/column_group.h"

/* The features of tile n, standardised, into the network's inputs of `width` lanes. */
static vreal put_features(const sciml_call *call, const setting *set, workspace *w, int n, int width,
                          vreal *scalars) {
    const sciml_emulator *e = call->emulator;
    const tile *t = &w->tiles[n];
    const int layers = e->layers, inputs = SCIML_CHANNELS + SCIML_FEATURE_SCALARS;
    const int single = call->kernel->bits == 32;
    void *input = call->kernel->input(call->network, layers, w->network);
    vreal novelty = splat(0.0);
    NAMED(features)(set, t, &w->layers[n], w->channels + layers * SCIML_CHANNELS, w->channels, scalars);
    for (int c = 0; c < SCIML_FEATURE_SCALARS; c++) { /* the network reads them at the lowest layer only */
        scalars[c] = standardised(scalars[c], e->scalar_mean[c], e->scalar_per_scale[c], e->scalar_middle[c],
                                  e->scalar_reach[c], e->scalar_per_reach[c], e->clip, &novelty);
        put_input(input, single, (ptrdiff_t)(SCIML_CHANNELS + c) * width + n * LANES, scalars[c]);
    }
    for (int k = 0; k < layers; k++)
        for (int c = 0; c < SCIML_CHANNELS; c++) {
            const int i = k * SCIML_CHANNELS + c;
            const vreal z = standardised(w->channels[i], e->mean[i], e->per_scale[i], e->middle[i],
                                         e->reach[i], e->per_reach[i], e->clip, &novelty);
            put_input(input, single, ((ptrdiff_t)k * inputs + c) * width + n * LANES, z);
        }
    return only(t->up.kind != (double)NONE, novelty);
}

/* The logarithm of the expected error, the second output of the column, from the mean of the states. */
static vreal expected_error(const sciml_call *call, const vreal *mean, const vreal *scalars) {
    const sciml_emulator *e = call->emulator;
    const int states = 2 * call->network->hidden, width = states + SCIML_FEATURE_SCALARS;
    vreal number = splat(e->column_bias[1]);
    for (int u = 0; u < e->pooled; u++) {
        const double *weight = e->pool + (ptrdiff_t)u * width;
        vreal even = splat(e->pool_bias[u]), odd = splat(0.0);
        for (int i = 0; i + 1 < states; i += 2) { /* two directions: an even number */
            even = FMA(splat(weight[i]), mean[i], even);
            odd = FMA(splat(weight[i + 1]), mean[i + 1], odd);
        }
        for (int i = 0; i < SCIML_FEATURE_SCALARS; i++)
            odd = FMA(splat(weight[states + i]), scalars[i], odd);
        number = FMA(splat(e->column[e->pooled + u]), tanh_of(even + odd), number);
    }
    return number;
}

/* The predictions of the network for tile n, from its heads and states; its novelty grows by the expected
 * error. */
static learned ask(const sciml_call *call, workspace *w, int n, int width, const void *head,
                   const vreal *scalars) {
    const sciml_network *net = call->network;
    const sciml_emulator *e = call->emulator;
    const int layers = e->layers, single = call->kernel->bits == 32, states = 2 * net->hidden;
    const tile *t = &w->tiles[n];
    const void *state = call->kernel->state(net, layers, w->network);
    vreal mean[2 * SCIML_MOST_HIDDEN], *amounts = w->push, *push = w->push + layers;
    for (int i = 0; i < states; i++) {
        vreal sum = splat(0.0);
        for (int k = 0; k < layers; k++)
            sum += from_network(state, single, ((ptrdiff_t)k * states + i) * width + n * LANES);
        mean[i] = sum * (1.0 / layers);
    }
    for (int k = 0; k < layers; k++) {
        const int rows = (net->head + 3) / 4 * 4;
        const vreal output = from_network(head, single, (ptrdiff_t)k * rows * width + n * LANES);
        amounts[k] = e->push_bound * tanh_of(output * (1.0 / e->push_bound));
    }
    NAMED(spread)(&w->layers[n], &t->s, amounts, push);
    const vreal expected = exp_of(expected_error(call, mean, scalars) - e->log_error),
                apart = w->novelty[n] / e->distance;
    const vreal far = only(apart > 1.0, apart);
    w->novelty[n] = only(t->up.kind != (double)NONE, MAX(expected, far));
    const vreal quiet = NAMED(shallow_strength)(&t->up, t->times);
    const vreal strength = choose(t->up.kind == (double)DEEP, t->energy.strength, quiet);
    return (learned){strength, push, t->energy.convects};
}

int NAMED(run_closure)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                       int count) {
    const int tiles = fill_tiles(w, column, count, set->levels);
    const int lanes = call->kernel->lanes, width = (count + lanes - 1) / lanes * lanes;
    const int layers = call->emulator->layers;
    before_network(call, set, w, tiles);
    clear_inputs(call, w, layers, tiles, width);
    for (int n = 0; n < tiles; n++)
        w->novelty[n] = put_features(call, set, w, n, width, w->scalars + n * SCIML_FEATURE_SCALARS);
    void *head, *pooled;
    call->kernel->tile(call->network, layers, SCIML_FEATURE_SCALARS, count, w->network, &head, &pooled);
    response r = lay_response(w, set->levels, call->columns->rate[0] != NULL);
    int lost = 0;
    for (int n = 0; n < tiles; n++) {
        const learned predicted = ask(call, w, n, width, head, w->scalars + n * SCIML_FEATURE_SCALARS);
        NAMED(respond)(set, &w->tiles[n], &predicted, w->after, &r);
        lost += NAMED(put_response)(call, &w->tiles[n], &r, w->novelty[n]);
    }
    return lost;
}
