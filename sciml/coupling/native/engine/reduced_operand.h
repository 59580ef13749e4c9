/* The operands of a product of weights and activations, and the arithmetic that all instruction sets share.
 */
#ifndef SCIML_REDUCED_OPERAND_H
#define SCIML_REDUCED_OPERAND_H

#include "engine/reduced_weights.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define COLUMNS 32 /* of a tile of columns: as many as a register of AVX-512 has 16-bit numbers */
#define GATES 4
#define UNITS 4 /* of a group of rows */

/* A matrix, expanded to what the multiplications read, and the activations of its columns. */
typedef struct operand {
    const sciml_matrix *matrix;
    const uint8_t *weights;
    const uint8_t *codes; /* of the activations, by tiles */
    const float *scale;   /* (block, plane, column): 2^-shift of the activations */
    int32_t planes;
    float unit; /* of the activations in bfloat16 */
} operand;

/* Products that are added one after the other to a sum: one for each block and plane. */
INLINE int32_t terms_of(const operand *o) {
    return o->matrix->kind == SCIML_BF16 ? 1 : o->matrix->blocks * o->planes;
}

INLINE int32_t columns_of_block(const sciml_matrix *m, int32_t block) {
    const int32_t left = m->columns - block * m->block;
    return left < m->block ? left : m->block;
}

/* Sums of SCIML_ROWS rows of weights and all columns: int32, or float for bfloat16. */
typedef union sums {
    int32_t whole[SCIML_ROWS][COLUMNS];
    float real[SCIML_ROWS][COLUMNS];
} sums;

INLINE float from_bits(int32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
INLINE int32_t to_bits(float f) {
    int32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The exponent of 2 that the largest magnitude of a block has, one more if a code of 7 bits would not hold
 * it: above 127/64 the mantissa carries. */
#define CARRY 0x1ffff
/* 2^80: inputs of this magnitude or more, infinities, and numbers that are not one give NaN, and their block
 * counts as zeros. With weights below SCIML_MOST_WEIGHT no sum of products overflows. */
#define TOO_LARGE 0x67800000
#define NOT_A_NUMBER 0x7fc00000

#endif
