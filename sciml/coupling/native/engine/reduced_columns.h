/* Activations of COLUMNS columns, for instruction sets up to AVX2: plain loops over columns, and the products
 * of pairs of 16-bit integers. The arithmetic is that of sciml/compress/integer_lstm.py. */
#ifndef SCIML_REDUCED_COLUMNS_H
#define SCIML_REDUCED_COLUMNS_H

#include "engine/gate_table.h"
#include "engine/reduced_operand.h"

#if defined(__SSE2__)
#    include <immintrin.h>
#endif

/* Bytes of a tile: activations of 64 codes as pairs of int16 (pair, column, 2), weights (pair, row, 2); and
 * of 32 numbers of bfloat16 as floats, activations (number, column), weights (number, row). */
#define CODE_TILE (SCIML_TILE_BYTES * COLUMNS * 2)
#define FLOAT_TILE (32 * COLUMNS * 4)
#define WEIGHT_TILE (SCIML_TILE_BYTES * SCIML_ROWS * 2)

#define STATE_UNIT 1.0f
#define CELL_BYTES 4

#if defined(__AVX2__)
typedef float vfloat __attribute__((vector_size(32), may_alias));
#else
typedef float vfloat __attribute__((vector_size(16), may_alias));
#endif
#define FLOATS ((int)(sizeof(vfloat) / sizeof(float)))

typedef int32_t loose_int32 __attribute__((may_alias));
typedef int16_t loose_int16 __attribute__((may_alias));
typedef float loose_float __attribute__((may_alias));

INLINE void begin_tiles(void) {}
INLINE void end_tiles(void) {}

INLINE float bfloat16_value(float x, int small) {
    const uint32_t u = (uint32_t)to_bits(x);
    const int32_t upper = (int32_t)((u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u);
    return small && (u & 0x7fffffff) < 0x26800000 /* 2^-50 */ ? 0.0f : from_bits(upper);
}

/* x rounded to a whole number, ties to even, and limited; NaN gives 0. */
INLINE int32_t rounded(float x, float limit) {
    x = x == x ? x : 0.0f;
    x = x > -limit ? x : -limit;
    x = x < limit ? x : limit;
    return to_bits(x + 12582912.0f) - 0x4b400000;
}

INLINE int weight_code(const sciml_matrix *m, const uint8_t *row, int k) {
    if (m->kind == SCIML_INT8) return (int8_t)row[k];
    if (m->kind == SCIML_INT4) return ((row[k % 32] >> (k / 32 * 4) & 15) ^ 8) - 8;
    return row[k / 8] >> k % 8 & 1 ? 1 : -1;
}

/* The weights in the form that `multiply` reads. */
static const uint8_t *expand(const sciml_matrix *m, uint8_t *memory) {
    const size_t bytes = m->kind == SCIML_INT4 ? 32 : m->kind == SCIML_SIGN ? 8 : 64;
    const uint8_t *row = m->codes;
    for (ptrdiff_t t = 0; t < (ptrdiff_t)m->groups * m->tiles; t++)
        for (int r = 0; r < SCIML_ROWS; r++, row += bytes)
            if (m->kind == SCIML_BF16) {
                loose_float *to = (loose_float *)(memory + t * WEIGHT_TILE) + r;
                for (int k = 0; k < 32; k++)
                    to[k * SCIML_ROWS] =
                        from_bits((int32_t)((uint32_t)row[2 * k] << 16 | (uint32_t)row[2 * k + 1] << 24));
            } else {
                loose_int16 *to = (loose_int16 *)(memory + t * WEIGHT_TILE) + 2 * r;
                for (int k = 0; k < SCIML_TILE_BYTES; k++)
                    to[k / 2 * 2 * SCIML_ROWS + k % 2] = (int16_t)weight_code(m, row, k);
            }
    return memory;
}

/* Shift a block of largest magnitudes (bits of floats) to codes: its powers of two. */
INLINE void shifts_of(const int32_t largest[COLUMNS], float up[COLUMNS], float *down) {
    for (int c = 0; c < COLUMNS; c++) {
        const int32_t size = largest[c] < TOO_LARGE ? largest[c] : 0;
        int32_t shift = 133 - ((size + CARRY) >> 23);
        shift = shift < SCIML_MOST_SHIFT ? shift : SCIML_MOST_SHIFT;
        up[c] = from_bits((shift + 127) << 23);
        down[c] = from_bits((127 - shift) << 23);
    }
}

INLINE void put_codes(uint8_t *codes, int k, int column, int32_t q) {
    ((loose_int16 *)codes)[(k / 2 * COLUMNS + column) * 2 + k % 2] = (int16_t)q;
}

/* The codes of one block of n inputs, and of what they leave if there is a second plane. */
static void code_floats(const float *const *rows, int n, uint8_t *codes, float *scale, uint8_t *rest) {
    int32_t largest[COLUMNS] = {0};
    float up[COLUMNS];
    for (int k = 0; k < n; k++)
        for (int c = 0; c < COLUMNS; c++) {
            const int32_t size = to_bits(rows[k][c]) & 0x7fffffff;
            largest[c] = size > largest[c] ? size : largest[c];
        }
    shifts_of(largest, up, scale);
    for (int c = 0; rest && c < COLUMNS; c++)
        scale[COLUMNS + c] = scale[c] * 0x1p-7f;
    for (int k = 0; k < n; k++)
        for (int c = 0; c < COLUMNS; c++) {
            const float x = rows[k][c] * up[c];
            const int32_t q = rounded(x, 127.0f);
            put_codes(codes, k, c, q);
            if (rest) put_codes(rest, k, c, rounded((x - (float)q) * 128.0f, 127.0f));
        }
    for (int c = 0; n % 2 && c < COLUMNS; c++) {
        put_codes(codes, n, c, 0);
        if (rest) put_codes(rest, n, c, 0);
    }
}

/* The codes of one block of n states. */
static void code_states(const int16_t *states, int n, uint8_t *codes, float *scale) {
    int32_t largest[COLUMNS] = {0};
    float up[COLUMNS];
    for (int k = 0; k < n; k++)
        for (int c = 0; c < COLUMNS; c++) {
            const int32_t h = states[k * COLUMNS + c], size = h < 0 ? -h : h;
            largest[c] = size > largest[c] ? size : largest[c];
        }
    for (int c = 0; c < COLUMNS; c++)
        largest[c] = to_bits((float)largest[c] * 0x1p-15f);
    shifts_of(largest, up, scale);
    for (int k = 0; k < n; k++)
        for (int c = 0; c < COLUMNS; c++)
            put_codes(codes, k, c, rounded((float)states[k * COLUMNS + c] * 0x1p-15f * up[c], 127.0f));
    for (int c = 0; n % 2 && c < COLUMNS; c++)
        put_codes(codes, n, c, 0);
}

static void round_floats(const float *const *rows, int n, uint8_t *to) {
    for (int k = 0; k < (n + 31) / 32 * 32; k++)
        for (int c = 0; c < COLUMNS; c++)
            ((loose_float *)to)[k * COLUMNS + c] = k < n ? bfloat16_value(rows[k][c], 1) : 0.0f;
}

static void round_states(const int16_t *states, int n, uint8_t *to) {
    for (int k = 0; k < (n + 31) / 32 * 32; k++)
        for (int c = 0; c < COLUMNS; c++)
            ((loose_float *)to)[k * COLUMNS + c] =
                k < n ? bfloat16_value((float)states[k * COLUMNS + c] * 0x1p-15f, 0) : 0.0f;
}

/* sum += the products of n codes of a tile. */
#if defined(__SSE2__)
#    if defined(__AVX2__)
typedef __m256i vints;
#        define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#        define STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#        define SPREAD(x) _mm256_set1_epi32(x)
#        define ADD_PAIRS(s, a, b) _mm256_add_epi32(s, _mm256_madd_epi16(a, b))
#    else
typedef __m128i vints;
#        define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#        define STORE(p, v) _mm_storeu_si128((__m128i *)(p), v)
#        define SPREAD(x) _mm_set1_epi32(x)
#        define ADD_PAIRS(s, a, b) _mm_add_epi32(s, _mm_madd_epi16(a, b))
#    endif
INLINE void add_tile(const uint8_t *weights, const uint8_t *codes, int n, sums *to) {
    enum { INTS = sizeof(vints) / sizeof(int32_t) };
    for (int r = 0; r < SCIML_ROWS; r += 4)
        for (int c = 0; c < COLUMNS; c += 2 * INTS) {
            vints s[4][2];
            for (int i = 0; i < 4; i++)
                for (int v = 0; v < 2; v++)
                    s[i][v] = LOAD(&to->whole[r + i][c + v * INTS]);
            for (int k = 0; k < (n + 1) / 2; k++) {
                const uint8_t *x = codes + ((size_t)k * COLUMNS + (size_t)c) * 4;
                const loose_int32 *w = (const loose_int32 *)weights + k * SCIML_ROWS + r;
                const vints x0 = LOAD(x), x1 = LOAD(x + sizeof(vints));
                for (int i = 0; i < 4; i++) {
                    const vints weight = SPREAD(w[i]);
                    s[i][0] = ADD_PAIRS(s[i][0], weight, x0);
                    s[i][1] = ADD_PAIRS(s[i][1], weight, x1);
                }
            }
            for (int i = 0; i < 4; i++)
                for (int v = 0; v < 2; v++)
                    STORE(&to->whole[r + i][c + v * INTS], s[i][v]);
        }
}
#else
INLINE void add_tile(const uint8_t *weights, const uint8_t *codes, int n, sums *to) {
    const loose_int16 *w = (const loose_int16 *)weights, *x = (const loose_int16 *)codes;
    for (int k = 0; k < (n + 1) / 2; k++)
        for (int r = 0; r < SCIML_ROWS; r++)
            for (int c = 0; c < COLUMNS; c++)
                for (int i = 0; i < 2; i++)
                    to->whole[r][c] += w[(k * SCIML_ROWS + r) * 2 + i] * x[(k * COLUMNS + c) * 2 + i];
}
#endif

/* Even and odd products of each tile in two chains, as the tile instruction of bfloat16 adds them. Products
 * are exact, so that a fused multiply-add would have the same bits. */
INLINE void add_floats(const uint8_t *weights, const uint8_t *numbers, int32_t tiles, sums *to) {
    for (int r = 0; r < SCIML_ROWS; r += 2)
        for (int c = 0; c < COLUMNS; c += FLOATS) {
            vfloat sum[2] = {{0}, {0}};
            for (int32_t t = 0; t < tiles; t++) {
                const loose_float *w = (const loose_float *)(weights + (size_t)t * WEIGHT_TILE) + r;
                const uint8_t *x = numbers + (size_t)t * FLOAT_TILE + (size_t)c * sizeof(float);
                vfloat even[2] = {{0}, {0}}, odd[2] = {{0}, {0}};
                for (int k = 0; k < 32; k += 2)
                    for (int i = 0; i < 2; i++) {
                        const vfloat *at = (const vfloat *)(x + (size_t)k * COLUMNS * sizeof(float));
                        const vfloat *next = (const vfloat *)((const uint8_t *)at + COLUMNS * sizeof(float));
                        even[i] = even[i] + *at * w[k * SCIML_ROWS + i];
                        odd[i] = odd[i] + *next * w[(k + 1) * SCIML_ROWS + i];
                    }
                for (int i = 0; i < 2; i++)
                    sum[i] = sum[i] + (even[i] + odd[i]);
            }
            for (int i = 0; i < 2; i++)
                memcpy(&to->real[r + i][c], &sum[i], sizeof sum[i]);
        }
}

/* The terms of a group of rows, one after the other. */
static void multiply(const operand *o, int32_t group, sums *to) {
    const sciml_matrix *m = o->matrix;
    const uint8_t *weights = o->weights + (size_t)group * (size_t)m->tiles * WEIGHT_TILE;
    if (m->kind == SCIML_BF16) {
        add_floats(weights, o->codes, m->tiles, to);
        return;
    }
    const uint8_t *codes = o->codes;
    const int32_t apart = sciml_tiles_of(m->block);
    for (int32_t j = 0; j < m->blocks; j++, weights += (size_t)apart * WEIGHT_TILE)
        for (int32_t p = 0; p < o->planes; p++, to++, codes += (size_t)apart * CODE_TILE) {
            const int32_t n = columns_of_block(m, j);
            memset(to, 0, sizeof *to);
            for (int32_t t = 0; t * SCIML_TILE_BYTES < n; t++)
                add_tile(weights + (size_t)t * WEIGHT_TILE, codes + (size_t)t * CODE_TILE,
                         n - t * SCIML_TILE_BYTES < SCIML_TILE_BYTES ? n - t * SCIML_TILE_BYTES
                                                                     : SCIML_TILE_BYTES,
                         to);
        }
}

INLINE void begin_products(const operand *operands, int count, int32_t group) {
    (void)operands, (void)count, (void)group;
}

/* The terms of all operands for a group of rows. */
INLINE void end_products(const operand *operands, int count, int32_t group, sums *to) {
    for (int n = 0; n < count; to += terms_of(&operands[n++]))
        multiply(&operands[n], group, to);
}

/* s += the terms of one row of a group; `factor` is that of the row. */
INLINE void add_terms(const operand *o, const sums *terms, int32_t group, int row, float factor, float *s) {
    const sciml_matrix *m = o->matrix;
    if (m->kind == SCIML_BF16) {
        for (int c = 0; c < COLUMNS; c++)
            s[c] = s[c] + terms->real[row][c] * factor;
        return;
    }
    const float *scale = o->scale, *weight = m->scale + (size_t)group * (size_t)m->blocks * SCIML_ROWS + row;
    for (int32_t j = 0; j < m->blocks; j++, weight += SCIML_ROWS)
        for (int32_t p = 0; p < o->planes; p++, terms++, scale += COLUMNS)
            for (int c = 0; c < COLUMNS; c++)
                s[c] = s[c] + (float)terms->whole[row][c] * scale[c] * *weight;
}

INLINE int32_t product(int32_t a, int32_t b) {
    return (a * b + (1 << 14)) >> 15;
}

/* tanh of a code of step 2^-12 in units of 2^-15. */
INLINE int32_t tanh_of_code(int32_t z) {
    const int32_t size = z < 0 ? -z : z, k = size >> 9, d = ((size & 511) - 256) * 64;
    const int32_t t = sciml_tanh_c0[k] + product(d, sciml_tanh_c1[k] + product(d, sciml_tanh_c2[k]));
    return z < 0 ? -t : t;
}

/* From the terms of a group of units to their cells and states; 0 operands of `own` at the first level. */
static void update_units(const operand *operands, int count, const sums *terms, const float *bias,
                         int32_t group, int units, int bounded, float *cells, int16_t *states, int first) {
    (void)bounded; /* the limits cost little here */
    for (int u = 0; u < units; u++) {
        float *cell = cells + u * COLUMNS;
        int32_t gate[GATES][COLUMNS];
        for (int g = 0; g < GATES; g++) {
            const int row = u * GATES + g;
            const sums *from = terms;
            float s[COLUMNS];
            for (int c = 0; c < COLUMNS; c++)
                s[c] = bias[row];
            for (int o = 0; o < count; o++) {
                add_terms(&operands[o], from, group, row, g == 2 ? 2 * SCIML_GATE_SCALE : SCIML_GATE_SCALE,
                          s);
                from += terms_of(&operands[o]);
            }
            for (int c = 0; c < COLUMNS; c++) {
                const int32_t t = tanh_of_code(rounded(s[c], 32767.0f));
                gate[g][c] = g == 2 ? t : (t >> 1) + 16384;
            }
        }
        for (int c = 0; c < COLUMNS; c++) {
            const float fresh = ((float)gate[0][c] * 0x1p-15f) * ((float)gate[2][c] * 0x1p-15f);
            cell[c] = first ? fresh : ((float)gate[1][c] * 0x1p-15f) * cell[c] + fresh;
            const int32_t t = tanh_of_code(rounded(cell[c] * 4096.0f, 32767.0f));
            states[u * COLUMNS + c] = (int16_t)product(gate[3][c], t);
        }
    }
}

/* The outputs of a group of rows of the head: (output, column). */
static void put_outputs(const operand *o, const sums *terms, const float *bias, int32_t group, int rows,
                        const float *poison, float *to) {
    for (int r = 0; r < rows; r++, to += COLUMNS) {
        for (int c = 0; c < COLUMNS; c++)
            to[c] = bias[r];
        add_terms(o, terms, group, r, 1.0f, to);
        for (int c = 0; c < COLUMNS; c++)
            to[c] = to[c] + poison[c];
    }
}

/* States as floats, in the order of the columns. */
static void put_states(const int16_t *states, const float *poison, float *to) {
    for (int c = 0; c < COLUMNS; c++)
        to[c] = (float)states[c] * 0x1p-15f + poison[c];
}

#endif
