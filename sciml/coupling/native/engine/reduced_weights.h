/* The weights of a network whose matrices are multiplied in small integers or in bfloat16. */
#ifndef SCIML_REDUCED_WEIGHTS_H
#define SCIML_REDUCED_WEIGHTS_H

#include "engine/network.h"

#define SCIML_ROWS 16            /* rows of a tile of weights: four units with four gates, or 16 outputs */
#define SCIML_TILE_BYTES 64      /* of a row of a tile */
#define SCIML_MOST_BLOCK 1024    /* features: sums of products of two codes in a block are exact in a float */
#define SCIML_MOST_WEIGHT 0x1p24 /* exclusive, so that no sum of products overflows */
#define SCIML_MOST_SHIFT 112     /* so that 2^-shift is a normal float */
#define SCIML_GATE_SCALE 2048.0f /* of i, f and o in the codes of the gates; twice that of g */

enum sciml_matrix_kind { SCIML_BF16, SCIML_INT8, SCIML_INT4, SCIML_SIGN, SCIML_MATRIX_KINDS };

/* A matrix in tiles of SCIML_ROWS rows and 64 codes, or 32 bfloat16 numbers. A tile is part of a block: codes
 * (group of rows, tile, row, code), 8, 4 or 1 bits each. With 4 bits, byte b of a row has code b in its lower
 * half and code b + 32 in its upper one. Bits beyond the last column are zeros, as are all
 * numbers of rows beyond the last. */
typedef struct sciml_matrix {
    enum sciml_matrix_kind kind;
    int32_t rows, columns, groups;
    int32_t block;  /* columns of a block; bfloat16: all */
    int32_t blocks; /* of a row */
    int32_t tiles;  /* of a group */
    double bound;   /* largest sum of magnitudes of a row */
    uint8_t *codes;
    float *scale;      /* (group, block, row), value of a unit of the codes */
    int32_t *negative; /* (group, block, row): -128 times the sum of the codes */
} sciml_matrix;

/* Rows are ordered (group, unit, gate) in both matrices and the bias; scales and biases of gates have the
 * factor SCIML_GATE_SCALE. */
typedef struct sciml_reduced_direction {
    sciml_matrix input, own;
    float *bias;
    double most; /* inputs up to this magnitude give sums of gates below 2^30 */
} sciml_reduced_direction;

typedef struct sciml_reduced {
    int32_t block;  /* features of a block of activations */
    int32_t planes; /* codes of an input channel: 1 or 2 */
    sciml_reduced_direction lstm[SCIML_MAX_LAYERS][2];
    sciml_matrix head;
    float *head_bias;
} sciml_reduced;

/* Tiles of a block of n columns. */
static inline int32_t sciml_tiles_of(int32_t n) {
    return (n + SCIML_TILE_BYTES - 1) / SCIML_TILE_BYTES;
}

struct sciml_cdf;
/* Read the matrices of a network whose sizes are known; on failure the caller frees net->reduced. */
int sciml_reduced_load(const struct sciml_cdf *file, sciml_network *net, char *message, size_t length);
void sciml_reduced_free(sciml_reduced *r);

#endif
