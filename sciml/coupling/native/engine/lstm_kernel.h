/* The interface of the kernels that run the network: lstm_kernel.c, which is compiled once for each
 * instruction set and precision, and reduced_kernel.c, once for each instruction set. */
#ifndef SCIML_LSTM_KERNEL_H
#define SCIML_LSTM_KERNEL_H

#include "engine/network_weights.h"

/* The arrays of one call; strides in elements. The pointers are to float or to double, by the entry
 * of the host. */
typedef struct sciml_arrays {
    const void *x;
    void *y, *p;
    ptrdiff_t xs[3], ys[3], ps[2];
} sciml_arrays;

/* A kernel: the same source compiled for one instruction set and one precision. */
typedef struct sciml_kernel {
    const char *isa;
    int32_t bits;  /* of the numbers in `input`, `tile` and `state`: 32 or 64 */
    int32_t lanes; /* columns in a vector */
    int32_t block; /* columns in a full tile */
    /* Bytes of scratch for one tile, 64-byte aligned. */
    size_t (*scratch)(const sciml_network *net, int32_t levels);
    /* Address in the scratch of the inputs of a tile of `columns` (1..block): element (level, channel,
     * lane) at ((level * channels) + channel) * width + lane, width = columns rounded up to lanes. */
    void *(*input)(const sciml_network *net, int32_t levels, void *scratch);
    /* Run a tile whose inputs are there; the last `constant` channels are the same at all levels, and are
     * read at level 0 only. *head: (level, channel, lane), with 4 * ceil(head / 4) channels a level; *pooled:
     * (output, lane). Both lie in the scratch. */
    void (*tile)(const sciml_network *net, int32_t levels, int32_t constant, int32_t columns, void *scratch,
                 void **head, void **pooled);
    /* Address of the states of the last layer after that: (level, 2 * hidden, lane). */
    void *(*state)(const sciml_network *net, int32_t levels, void *scratch);
    /* Gather `columns` columns from the arrays, run them, scatter the outputs. */
    void (*run)(const sciml_network *net, int32_t levels, int32_t columns, int64_t first,
                const sciml_arrays *arrays, void *scratch);
} sciml_kernel;

#endif
