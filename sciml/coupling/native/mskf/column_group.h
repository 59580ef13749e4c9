/* Groups of columns that passed the parcel test, as many as the network takes at a time: what the kinds of
 * emulators share. */
#ifndef SCIML_COLUMN_GROUP_H
#define SCIML_COLUMN_GROUP_H

#include "mskf/workspace.h"

INLINE vreal tanh_of(vreal x) {
    return 1.0 - 2.0 / (exp_of(2.0 * x) + 1.0);
}

/* Standardise one feature and clip it to the range of the training; *novelty grows to how far it lies
 * outside. */
INLINE vreal standardised(vreal x, double mean, double per_scale, double mid, double reach, double per_reach,
                          double clip, vreal *novelty) {
    const vreal z = (x - mean) * per_scale;
    *novelty = MAX(absolute(z - mid) * per_reach, *novelty);
    return between(between(z, mid - reach, mid + reach), -clip, clip);
}

INLINE void put_input(void *input, int single, ptrdiff_t at, vreal z) {
    if (single)
        to_floats((float *)input + at, z);
    else
        *(vloose *)((double *)input + at) = z;
}

/* A tile's lanes of an array of the network. */
INLINE vreal from_network(const void *array, int single, ptrdiff_t at) {
    return single ? from_floats((const float *)array + at)
                  : (vreal) * (const vloose *)((const double *)array + at);
}

/* Zeros for the lanes of the network that no tile reaches. */
INLINE void clear_inputs(const sciml_call *call, const workspace *w, int levels, int tiles, int width) {
    if (tiles * LANES < width)
        memset(call->kernel->input(call->network, levels, w->network), 0,
               (size_t)levels * (size_t)call->network->channels * (size_t)width * (size_t)call->kernel->bits /
                   8);
}

/* Columns [0, count) of a group to their outputs; the number of those that are lost, see `put_response`. One
 * for each kind of emulator. */
int NAMED(run_closure)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                       int count);
int NAMED(run_bilstm)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                      int count);
int NAMED(run_published)(const sciml_call *call, const setting *set, workspace *w, const int64_t *column,
                         int count);

/* Write the outputs of a tile; the number of lanes with outputs that are not finite in the host's precision,
 * which the host gets as columns that are not sound. */
int NAMED(put_response)(const sciml_call *call, const tile *t, const response *r, vreal novelty);

#endif
