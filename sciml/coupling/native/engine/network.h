/* The network, packed for the kernels. */
#ifndef SCIML_NETWORK_H
#define SCIML_NETWORK_H

#include "sciml_mskf.h"

#define SCIML_MAX_LAYERS 8
#define SCIML_MAX_WIDTH 1024 /* channels, hidden units, outputs */
#define SCIML_MAX_LEVELS 4096
#define SCIML_MAX_THREADS 1024

/* The storage of the weights, the attribute `weight_format` of the file. A new format needs a name in
 * network_weights.c and rows in kernel_table.c. */
enum sciml_weight_format {
    SCIML_WEIGHTS_FLOAT,  /* "float": float32 or float64, packed in both precisions */
    SCIML_WEIGHTS_REDUCED /* "reduced": matrices of small integers or bfloat16, reduced_weights.h */
};

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
    int32_t outputs;     /* channels of the head that are outputs of the network */
    int32_t pool_inputs; /* channels of the head that are inputs of the pooled outputs only */
    int32_t pooled;
    int32_t pool_levels; /* 0: no pooled head, any number of levels */
    enum sciml_weight_format format;
    sciml_packed f32, f64; /* of a reduced network: the pooled head only */
    struct sciml_reduced *reduced;
} sciml_network;

#endif
