/* What the library's own files share. Nothing here is exported. */
#ifndef SCIML_NETWORK_WEIGHTS_H
#define SCIML_NETWORK_WEIGHTS_H

#include "sciml_mskf.h"

#define SCIML_MAX_LAYERS 8
#define SCIML_MAX_WIDTH 1024 /* channels, hidden units, outputs */
#define SCIML_MAX_LEVELS 4096
#define SCIML_MAX_THREADS 1024

/* Weights in the order the kernel reads them, in one precision (float or double).
 *
 * lstm[layer][direction]: for each hidden unit 4 biases, then for each input of the cell (the layer's
 * inputs first, then the hidden state) 4 weights: the gates in torch's order i, f, g, o.
 * head: for each group of 4 outputs 4 biases, then for each of the 2*hidden inputs 4 weights.
 * pool: (pooled, pool_inputs, pool_levels), then the biases (pooled). */
typedef struct sciml_packed {
    void *lstm[SCIML_MAX_LAYERS][2];
    void *head;
    void *pool;
} sciml_packed;

/* A stacked bidirectional LSTM over the levels, a 1x1 head on every level, and a linear map over
 * (pool_inputs, levels) of the last pool_inputs channels of that head. */
typedef struct sciml_network {
    int32_t channels, layers, hidden;
    int32_t head;        /* channels of the 1x1 head: outputs + pool_inputs */
    int32_t outputs;     /* of those, the ones that are handed out */
    int32_t pool_inputs; /* and those that only feed the pooled outputs */
    int32_t pooled;
    int32_t pool_levels; /* 0: no pooled head, any number of levels */
    sciml_packed f32, f64;
} sciml_network;

/* One call's arrays; strides in elements. Pointers are to float or to double as the kernel is. */
typedef struct sciml_arrays {
    const void *x;
    void *y, *p;
    ptrdiff_t xs[3], ys[3], ps[2];
} sciml_arrays;

/* A kernel: the same source compiled for one instruction set and one precision. */
typedef struct sciml_kernel {
    const char *isa;
    int32_t lanes; /* columns in a vector */
    int32_t block; /* columns in a full tile */
    /* Bytes of scratch for one tile, 64-byte aligned. */
    size_t (*scratch)(const sciml_network *net, int32_t levels);
    /* Where in the scratch the inputs of a tile of `columns` (1..block) go: element (level, channel,
     * lane) at ((level * channels) + channel) * width + lane, width = columns rounded up to lanes. */
    void *(*input)(const sciml_network *net, int32_t levels, void *scratch);
    /* Run a tile whose inputs are there. *head: (level, channel, lane), with 4 * ceil(head / 4)
     * channels a level; *pooled: (output, lane). Both lie in the scratch. */
    void (*tile)(const sciml_network *net, int32_t levels, int32_t columns, void *scratch, void **head,
                 void **pooled);
    /* Where the last layer's states lie after that: (level, 2 * hidden, lane). */
    void *(*state)(const sciml_network *net, int32_t levels, void *scratch);
    /* Gather `columns` columns from the arrays, run them, scatter the answers. */
    void (*run)(const sciml_network *net, int32_t levels, int32_t columns, int64_t first,
                const sciml_arrays *arrays, void *scratch);
} sciml_kernel;

/* Kernels of this build for this processor, the best one first; `bits` is 32 or 64. */
const sciml_kernel *sciml_kernel_for(int bits, const char *isa);

struct sciml_mskf {
    sciml_mskf_description description;
    sciml_network network;
    const sciml_kernel *f32, *f64;
    struct sciml_emulator *emulator; /* NULL: the weights hold a bare network */
};

/* Write one line for people and return the status. */
int sciml_say(int status, char *message, size_t length, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct sciml_cdf;
int sciml_network_load(const struct sciml_cdf *file, sciml_network *net, char *message, size_t length);
void sciml_network_free(sciml_network *net);

/* Memory of the arena with room for a vector behind it, beyond which kernels do not read; sciml_give it back.
 */
size_t sciml_aligned_bytes(size_t bytes);
void *sciml_aligned(size_t bytes);

#endif
