/* The pure network, which knows nothing of the plume; the definition is sciml/convection/bilstm.py. */
#include "mskf/layer_outputs.h"

#define ERROR_BOUND 8.0
/* Sums that are formed at once: chains of additions that do not wait for one another. */
#define SUMS 8
#define HEAD_SUMS (VECTOR_BYTES == 64 ? SCIML_LAYER_HEADS : 5)
_Static_assert(SCIML_LAYER_HEADS % 5 == 0, "the heads of a layer are summed by fives");

/* sums[i] += the products of row i of a matrix, `apart` numbers a row, and x. */
INLINE void add_products(int rows, int count, const double *matrix, ptrdiff_t apart, const vreal *x,
                         vreal *sums) {
    vreal sum[SCIML_LAYER_HEADS];
#pragma GCC unroll 15
    for (int i = 0; i < rows; i++)
        sum[i] = sums[i];
    for (int k = 0; k < count; k++)
#pragma GCC unroll 15
        for (int i = 0; i < rows; i++)
            sum[i] = FMA(splat(matrix[i * apart + k]), x[k], sum[i]);
#pragma GCC unroll 15
    for (int i = 0; i < rows; i++)
        sums[i] = sum[i];
}

/* The same for any number of rows; a row's sum does not depend on the others. */
static void multiply(int rows, int count, const double *matrix, ptrdiff_t apart, const vreal *x,
                     vreal *sums) {
    int i = 0;
    for (; i + SUMS <= rows; i += SUMS)
        add_products(SUMS, count, matrix + i * apart, apart, x, sums + i);
    for (; i < rows; i++)
        add_products(1, count, matrix + i * apart, apart, x, sums + i);
}

/* The inputs of tile n, standardised, into the network's inputs of `width` lanes. */
static vreal put_profiles(const sciml_call *call, const setting *set, workspace *w, int n, int width,
                          vreal *scalars) {
    const sciml_emulator *e = call->emulator;
    const int layers = e->layers, single = call->kernel->bits == 32;
    void *input = call->kernel->input(call->network, layers, w->network);
    vreal novelty = splat(0.0), *channels = w->channels;
    NAMED(prepare)(set, &w->tiles[n], e->edges, layers, &w->layers[n],
                   channels + layers * SCIML_PROFILE_CHANNELS, channels, scalars, &w->seen[n]);
    for (int c = 0; c < SCIML_PROFILE_SCALARS; c++) { /* the network reads them at the lowest layer only */
        scalars[c] = standardised(scalars[c], e->scalar_mean[c], e->scalar_per_scale[c], e->scalar_middle[c],
                                  e->scalar_reach[c], e->scalar_per_reach[c], e->clip, &novelty);
        put_input(input, single, (ptrdiff_t)(SCIML_PROFILE_CHANNELS + c) * width + n * LANES, scalars[c]);
    }
    for (int k = 0; k < layers; k++)
        for (int c = 0; c < SCIML_PROFILE_CHANNELS; c++) {
            const int i = k * SCIML_PROFILE_CHANNELS + c;
            const vreal z = standardised(channels[i], e->mean[i], e->per_scale[i], e->middle[i], e->reach[i],
                                         e->per_reach[i], e->clip, &novelty);
            put_input(input, single, ((ptrdiff_t)k * call->network->channels + c) * width + n * LANES, z);
        }
    return novelty;
}

/* From the mean and the largest states over the layers to the units of the column and its heads. */
static void ask_column(const sciml_call *call, const workspace *w, int n, int width, const vreal *scalars,
                       vreal *units, vreal heads[SCIML_COLUMN_HEADS]) {
    const sciml_emulator *e = call->emulator;
    const int layers = e->layers, single = call->kernel->bits == 32, states = 2 * call->network->hidden;
    const int count = 2 * states + SCIML_PROFILE_SCALARS;
    const void *state = call->kernel->state(call->network, layers, w->network);
    vreal pooled[4 * SCIML_MOST_HIDDEN + SCIML_PROFILE_SCALARS]; /* means, largest, scalars */
    for (int i = 0; i < states; i++) {
        pooled[i] = splat(0.0);
        pooled[states + i] = splat(-2.0); /* a state is above -1 */
    }
    for (int k = 0; k < layers; k++)
        for (int i = 0; i < states; i++) {
            const vreal x = from_network(state, single, ((ptrdiff_t)k * states + i) * width + n * LANES);
            pooled[i] += x;
            pooled[states + i] = MAX(x, pooled[states + i]);
        }
    for (int i = 0; i < states; i++)
        pooled[i] *= 1.0 / layers;
    memcpy(pooled + 2 * states, scalars, SCIML_PROFILE_SCALARS * sizeof *pooled);
    for (int u = 0; u < e->pooled; u++)
        units[u] = splat(e->pool_bias[u]);
    multiply(e->pooled, count, e->pool, count, pooled, units);
    for (int u = 0; u < e->pooled; u++)
        units[u] = tanh_of(units[u]);
    for (int h = 0; h < SCIML_COLUMN_HEADS; h++)
        heads[h] = splat(e->column_bias[h]);
    multiply(SCIML_COLUMN_HEADS, e->pooled, e->column, e->pooled, units, heads);
}

/* The heads of each layer, (layer, SCIML_LAYER_HEADS), of the class of each lane. */
static void ask_layers(const sciml_call *call, int n, int width, const void *head, const vreal *units,
                       vword deep, vreal *heads) {
    const sciml_emulator *e = call->emulator;
    const int wide = call->network->outputs, rows = (call->network->head + 3) / 4 * 4;
    const int single = call->kernel->bits == 32;
    const vword wanted[2] = {~deep, deep};
    vreal shared[SCIML_MOST_OUTPUTS], mixed[SCIML_MOST_OUTPUTS], own[SCIML_LAYER_HEADS];
    for (int o = 0; o < wide; o++)
        shared[o] = splat(0.0);
    multiply(wide, e->pooled, e->shared, e->pooled, units, shared);
    for (int k = 0; k < e->layers; k++, heads += SCIML_LAYER_HEADS) {
        for (int o = 0; o < wide; o++)
            mixed[o] = at_least(
                from_network(head, single, ((ptrdiff_t)k * rows + o) * width + n * LANES) + shared[o], 0.0);
        for (int c = 0; c < 2; c++) {
            if (!any(wanted[c])) continue;
            const double *bias = e->level_bias + c * SCIML_LAYER_HEADS;
            const double *weight = e->level + (ptrdiff_t)c * SCIML_LAYER_HEADS * wide;
            for (int h = 0; h < SCIML_LAYER_HEADS; h++)
                own[h] = splat(bias[h]);
            for (int h = 0; h < SCIML_LAYER_HEADS; h += HEAD_SUMS)
                add_products(HEAD_SUMS, wide, weight + (ptrdiff_t)h * wide, wide, mixed, own + h);
            for (int h = 0; h < SCIML_LAYER_HEADS; h++)
                heads[h] = choose(wanted[c], own[h], heads[h]);
        }
    }
}

/* The outputs of tile n, from the network's heads and states; its novelty grows by the expected error. */
static void answer(const sciml_call *call, const setting *set, workspace *w, int n, int width,
                   const void *head, response *r) {
    const sciml_emulator *e = call->emulator;
    const layering *on = &w->layers[n];
    vreal units[SCIML_MAX_WIDTH], column[SCIML_COLUMN_HEADS];
    vreal *const heads = w->after + LEVEL_OUTPUTS * set->levels;
    ask_column(call, w, n, width, w->scalars + n * SCIML_PROFILE_SCALARS, units, column);
    layer_outputs out = {.values = heads + SCIML_LAYER_HEADS * on->layers};
    out.deep = column[DEEP] > column[SHALLOW];
    out.active = (column[SHALLOW] > column[NONE]) | (column[DEEP] > column[NONE]);
    ask_layers(call, n, width, head, units, out.deep, heads);
    vreal own[3]; /* of each lane's class; the first four are the logits and the expected error */
    for (int h = 0; h < 3; h++)
        own[h] = choose(out.deep, column[7 + h], column[4 + h]);
    NAMED(decode)(e, on, &w->seen[n], heads, own, &out);
    NAMED(outputs_on_levels)(set, &w->tiles[n].s, on, &w->seen[n], &out, w->after, r);
    const vreal error = ERROR_BOUND * tanh_of(column[3] / ERROR_BOUND);
    const vreal apart = w->novelty[n] / e->distance;
    w->novelty[n] = MAX(exp_of(error - e->log_error), only(apart > 1.0, apart));
}

int NAMED(run_bilstm)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                      int count) {
    const int tiles = fill_tiles(w, column, count, set->levels), layers = call->emulator->layers;
    const int lanes = call->kernel->lanes, width = (count + lanes - 1) / lanes * lanes;
    clear_inputs(call, w, layers, tiles, width);
    for (int n = 0; n < tiles; n++) {
        tile *t = &w->tiles[n];
        NAMED(read)(set, t->column, &t->s);
        NAMED(derive)(set, &t->s);
        t->up.reach = set->levels;
        w->seen[n].carried = w->carried + (ptrdiff_t)n * CARRIED * layers;
        w->novelty[n] = put_profiles(call, set, w, n, width, w->scalars + n * SCIML_PROFILE_SCALARS);
    }
    void *head, *pooled;
    call->kernel->tile(call->network, layers, SCIML_PROFILE_SCALARS, count, w->network, &head, &pooled);
    response r = lay_response(w, set->levels, call->columns->rate[0] != NULL);
    int lost = 0;
    for (int n = 0; n < tiles; n++) {
        answer(call, set, w, n, width, head, &r);
        lost += NAMED(put_response)(call, &w->tiles[n], &r, w->novelty[n]);
    }
    return lost;
}
