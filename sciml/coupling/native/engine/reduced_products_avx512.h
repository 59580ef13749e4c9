/* Products of weights and activations of COLUMNS columns with VNNI, or with the tiles of AMX. */
#ifndef SCIML_REDUCED_PRODUCTS_AVX512_H
#define SCIML_REDUCED_PRODUCTS_AVX512_H

#include "engine/reduced_operand.h"

#include <immintrin.h>

#define FLOATS 16 /* in a vector */

/* Bytes of a tile of activations: 64 codes (four, column, 4), 32 numbers (pair, column, 2) of bfloat16 for
 * AMX, or (number, column) of floats. */
#define CODE_TILE (SCIML_TILE_BYTES * COLUMNS)
#ifdef __AMX_INT8__
#    define FLOAT_TILE (32 * COLUMNS * 2)
#    define CODE_OFFSET 0
#else
#    define FLOAT_TILE (32 * COLUMNS * 4)
#    define CODE_OFFSET 0x80 /* VNNI multiplies signed by unsigned bytes: codes + 128 */
#endif
#define CODES (SCIML_ROWS * SCIML_TILE_BYTES) /* bytes of a tile of weights */
#define WEIGHT_TILE (2 * CODES)               /* memory for one that is expanded, to floats at most */

/* Store numbers k and k + 1 of the columns of vector v, rounded to bfloat16 with ties to even. */
INLINE void put_pair(uint8_t *to, int k, int v, __m512 a, __m512 b) {
    const __m512i half = _mm512_set1_epi32(0x7fff), single = _mm512_set1_epi32(1);
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    __m512i x[2] = {_mm512_castps_si512(a), _mm512_castps_si512(b)};
    for (int i = 0; i < 2; i++) {
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(x[i], 16), single);
        x[i] = _mm512_add_epi32(x[i], _mm512_add_epi32(half, odd));
    }
#ifdef __AMX_INT8__
    const __m512i pair = _mm512_ternarylogic_epi32(x[1], high, _mm512_srli_epi32(x[0], 16), 0xea);
    _mm512_storeu_si512(to + (k / 2 * COLUMNS + v * FLOATS) * 4, pair);
#else
    for (int i = 0; i < 2; i++)
        _mm512_storeu_si512(to + ((k + i) * COLUMNS + v * FLOATS) * 4, _mm512_and_si512(x[i], high));
#endif
}

/* The tiles of 4 bits or of signs, as bytes; zeros beyond the last column of a block. */
static const uint8_t *expand_codes(const sciml_matrix *m, uint8_t *memory) {
    const int32_t apart = sciml_tiles_of(m->block);
    const uint8_t *row = m->codes;
    uint8_t *to = memory;
    for (int32_t g = 0; g < m->groups; g++)
        for (int32_t t = 0; t < m->tiles; t++) {
            const int32_t left = columns_of_block(m, t / apart) - t % apart * SCIML_TILE_BYTES;
            const __mmask64 used = left >= SCIML_TILE_BYTES ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
            for (int r = 0; r < SCIML_ROWS; r++, to += SCIML_TILE_BYTES)
                if (m->kind == SCIML_SIGN) {
                    __mmask64 plus;
                    memcpy(&plus, row, sizeof plus);
                    row += sizeof plus;
                    const __m512i x = _mm512_mask_blend_epi8(plus, _mm512_set1_epi8(-1), _mm512_set1_epi8(1));
                    _mm512_storeu_si512(to, _mm512_maskz_mov_epi8(used, x));
                } else {
                    const __m256i pairs = _mm256_loadu_si256((const __m256i *)row);
                    row += sizeof pairs;
                    const __m256i low = _mm256_and_si256(pairs, _mm256_set1_epi8(15));
                    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), _mm256_set1_epi8(15));
                    const __m512i x = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
                    const __m512i sign = _mm512_set1_epi8(8);
                    _mm512_storeu_si512(to, _mm512_sub_epi8(_mm512_xor_si512(x, sign), sign));
                }
        }
    return memory;
}

#ifdef __AMX_INT8__

#    define BARRIER __asm__ volatile("" ::: "memory")

INLINE void begin_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int n = 0; n < 8; n++) {
        shape.bytes[n] = SCIML_TILE_BYTES;
        shape.rows[n] = SCIML_ROWS;
    }
    BARRIER;
    _tile_loadconfig(&shape);
}
INLINE void end_tiles(void) {
    _tile_release();
}

static const uint8_t *expand(const sciml_matrix *m, uint8_t *memory) {
    return m->kind == SCIML_BF16 || m->kind == SCIML_INT8 ? m->codes : expand_codes(m, memory);
}

/* The terms of a group of rows: a tile of weights times two of activations, for the halves of the columns. */
static void multiply(const operand *o, int32_t group, sums *to) {
    const sciml_matrix *m = o->matrix;
    const uint8_t *weights = o->weights + (size_t)group * (size_t)m->tiles * CODES;
    const uint8_t *codes = o->codes;
    enum { APART = COLUMNS * 4, HALF = FLOATS * 4 };
    BARRIER; /* the loads of tiles do not show the compiler which memory they read */
    if (m->kind == SCIML_BF16) {
        _tile_zero(0);
        _tile_zero(1);
        for (int32_t t = 0; t < m->tiles; t++, weights += CODES, codes += FLOAT_TILE) {
            _tile_loadd(2, weights, SCIML_TILE_BYTES);
            _tile_loadd(3, codes, APART);
            _tile_dpbf16ps(0, 2, 3);
            _tile_loadd(4, codes + HALF, APART);
            _tile_dpbf16ps(1, 2, 4);
        }
        _tile_stored(0, to->real[0], APART);
        _tile_stored(1, to->real[0] + FLOATS, APART);
        return;
    }
    const int32_t apart = sciml_tiles_of(m->block);
    for (int32_t j = 0; j < m->blocks; j++, weights += (size_t)apart * CODES)
        for (int32_t p = 0; p < o->planes; p++, to++, codes += (size_t)apart * CODE_TILE) {
            const int32_t tiles = sciml_tiles_of(columns_of_block(m, j));
            _tile_zero(0);
            _tile_zero(1);
            for (int32_t t = 0; t < tiles; t++) {
                _tile_loadd(2, weights + (size_t)t * CODES, SCIML_TILE_BYTES);
                _tile_loadd(3, codes + (size_t)t * CODE_TILE, APART);
                _tile_dpbssd(0, 2, 3);
                _tile_loadd(4, codes + (size_t)t * CODE_TILE + HALF, APART);
                _tile_dpbssd(1, 2, 4);
            }
            _tile_stored(0, to->whole[0], APART);
            _tile_stored(1, to->whole[0] + FLOATS, APART);
        }
}

/* Whether the sums of all operands stay in tiles: one term each. */
INLINE int fit_tiles(const operand *operands, int count) {
    return terms_of(&operands[0]) == 1 && (count == 1 || terms_of(&operands[1]) == 1);
}

/* The sums of one operand into tiles c and d, with tiles a, x and y for the factors. */
#    define PRODUCTS(o, group, c, d, a, x, y)                                                                \
        do {                                                                                                 \
            const sciml_matrix *m_ = (o)->matrix;                                                            \
            const uint8_t *w_ = (o)->weights + (size_t)(group) * (size_t)m_->tiles * CODES;                  \
            const uint8_t *b_ = (o)->codes;                                                                  \
            _tile_zero(c);                                                                                   \
            _tile_zero(d);                                                                                   \
            for (int32_t t_ = 0; t_ < m_->tiles; t_++, w_ += CODES, b_ += CODE_TILE) {                       \
                _tile_loadd(a, w_, SCIML_TILE_BYTES);                                                        \
                _tile_loadd(x, b_, 4 * COLUMNS);                                                             \
                _tile_loadd(y, b_ + 4 * FLOATS, 4 * COLUMNS);                                                \
                if (m_->kind == SCIML_BF16) {                                                                \
                    _tile_dpbf16ps(c, a, x);                                                                 \
                    _tile_dpbf16ps(d, a, y);                                                                 \
                } else {                                                                                     \
                    _tile_dpbssd(c, a, x);                                                                   \
                    _tile_dpbssd(d, a, y);                                                                   \
                }                                                                                            \
            }                                                                                                \
        } while (0)

/* Begin the products of a group of rows, whose sums stay in tiles if they fit. */
INLINE void begin_products(const operand *operands, int count, int32_t group) {
    if (!fit_tiles(operands, count)) return;
    BARRIER;
    PRODUCTS(&operands[0], group, 0, 1, 4, 6, 7);
    if (count == 2) PRODUCTS(&operands[1], group, 2, 3, 5, 6, 7);
}

/* The terms of all operands for a group of rows. */
INLINE void end_products(const operand *operands, int count, int32_t group, sums *to) {
    if (!fit_tiles(operands, count)) {
        for (int n = 0; n < count; to += terms_of(&operands[n++]))
            multiply(&operands[n], group, to);
        return;
    }
    _tile_stored(0, to->whole[0], 4 * COLUMNS);
    _tile_stored(1, to->whole[0] + FLOATS, 4 * COLUMNS);
    if (count == 1) return;
    _tile_stored(2, to[1].whole[0], 4 * COLUMNS);
    _tile_stored(3, to[1].whole[0] + FLOATS, 4 * COLUMNS);
}

#else

INLINE void begin_tiles(void) {}
INLINE void end_tiles(void) {}

typedef int32_t loose_int32 __attribute__((may_alias));

static const uint8_t *expand(const sciml_matrix *m, uint8_t *memory) {
    if (m->kind == SCIML_INT8) return m->codes;
    if (m->kind != SCIML_BF16) return expand_codes(m, memory);
    const uint8_t *row = m->codes; /* floats (number, row) */
    for (ptrdiff_t t = 0; t < (ptrdiff_t)m->groups * m->tiles; t++)
        for (int r = 0; r < SCIML_ROWS; r++, row += SCIML_TILE_BYTES)
            for (int k = 0; k < 32; k++) {
                uint8_t *to = memory + t * WEIGHT_TILE + (k * SCIML_ROWS + r) * 4;
                to[0] = to[1] = 0;
                to[2] = row[2 * k];
                to[3] = row[2 * k + 1];
            }
    return memory;
}

/* to += the products of n codes of a tile, for ROWS_AT_ONCE rows at a time. */
INLINE void add_codes(const uint8_t *weights, const uint8_t *codes, int n, sums *to) {
    enum { AT_ONCE = 8 };
    for (int r = 0; r < SCIML_ROWS; r += AT_ONCE) {
        __m512i s[AT_ONCE][2];
        for (int i = 0; i < AT_ONCE; i++)
            for (int v = 0; v < 2; v++)
                s[i][v] = _mm512_loadu_si512(&to->whole[r + i][v * FLOATS]);
        for (int k = 0; k < n; k += 4) {
            const __m512i x = _mm512_loadu_si512(codes + k * COLUMNS);
            const __m512i y = _mm512_loadu_si512(codes + k * COLUMNS + 64);
            for (int i = 0; i < AT_ONCE; i++) {
                const __m512i w =
                    _mm512_set1_epi32(*(const loose_int32 *)(weights + (r + i) * SCIML_TILE_BYTES + k));
                s[i][0] = _mm512_dpbusd_epi32(s[i][0], x, w);
                s[i][1] = _mm512_dpbusd_epi32(s[i][1], y, w);
            }
        }
        for (int i = 0; i < AT_ONCE; i++)
            for (int v = 0; v < 2; v++)
                _mm512_storeu_si512(&to->whole[r + i][v * FLOATS], s[i][v]);
    }
}

/* The even and the odd products of a tile in two chains, as the instruction of AMX adds them. A product of
 * two bfloat16 is exact, so that the fused multiply-add has the bits of a product and a sum. */
INLINE void add_floats(const uint8_t *weights, const uint8_t *numbers, int32_t tiles, sums *to) {
    enum { AT_ONCE = 4 };
    for (int r = 0; r < SCIML_ROWS; r += AT_ONCE) {
        __m512 s[AT_ONCE][2];
        for (int i = 0; i < AT_ONCE; i++)
            s[i][0] = s[i][1] = _mm512_setzero_ps();
        for (int32_t t = 0; t < tiles; t++) {
            const float *w = (const float *)(const void *)(weights + (size_t)t * WEIGHT_TILE) + r;
            const float *x = (const float *)(const void *)(numbers + (size_t)t * FLOAT_TILE);
            __m512 chain[2][AT_ONCE][2];
            for (int i = 0; i < AT_ONCE; i++)
                for (int e = 0; e < 2; e++)
                    chain[e][i][0] = chain[e][i][1] = _mm512_setzero_ps();
            for (int k = 0; k < 32; k += 2)
                for (int e = 0; e < 2; e++) {
                    const __m512 a = _mm512_loadu_ps(x + (k + e) * COLUMNS);
                    const __m512 b = _mm512_loadu_ps(x + (k + e) * COLUMNS + FLOATS);
                    for (int i = 0; i < AT_ONCE; i++) {
                        const __m512 weight = _mm512_set1_ps(w[(k + e) * SCIML_ROWS + i]);
                        chain[e][i][0] = _mm512_fmadd_ps(weight, a, chain[e][i][0]);
                        chain[e][i][1] = _mm512_fmadd_ps(weight, b, chain[e][i][1]);
                    }
                }
            for (int i = 0; i < AT_ONCE; i++)
                for (int v = 0; v < 2; v++)
                    s[i][v] = _mm512_add_ps(s[i][v], _mm512_add_ps(chain[0][i][v], chain[1][i][v]));
        }
        for (int i = 0; i < AT_ONCE; i++)
            for (int v = 0; v < 2; v++)
                _mm512_storeu_ps(&to->real[r + i][v * FLOATS], s[i][v]);
    }
}

/* The terms of a group of rows, one after the other. */
static void multiply(const operand *o, int32_t group, sums *to) {
    const sciml_matrix *m = o->matrix;
    if (m->kind == SCIML_BF16) {
        add_floats(o->weights + (size_t)group * (size_t)m->tiles * WEIGHT_TILE, o->codes, m->tiles, to);
        return;
    }
    const uint8_t *weights = o->weights + (size_t)group * (size_t)m->tiles * CODES;
    const uint8_t *codes = o->codes;
    const int32_t *negative = m->negative + (size_t)group * (size_t)m->blocks * SCIML_ROWS;
    const int32_t apart = sciml_tiles_of(m->block);
    for (int32_t j = 0; j < m->blocks; j++, weights += (size_t)apart * CODES, negative += SCIML_ROWS)
        for (int32_t p = 0; p < o->planes; p++, to++, codes += (size_t)apart * CODE_TILE) {
            const int32_t n = columns_of_block(m, j);
            for (int r = 0; r < SCIML_ROWS; r++)
                for (int v = 0; v < 2; v++)
                    _mm512_storeu_si512(&to->whole[r][v * FLOATS], _mm512_set1_epi32(negative[r]));
            for (int32_t t = 0; t < n; t += SCIML_TILE_BYTES)
                add_codes(weights + (size_t)t * SCIML_ROWS, codes + (size_t)t * COLUMNS,
                          n - t < SCIML_TILE_BYTES ? n - t : SCIML_TILE_BYTES, to);
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

#endif
#endif
