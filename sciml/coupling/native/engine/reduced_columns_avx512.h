/* Activations of COLUMNS columns with AVX-512: two vectors of floats, or one of 16-bit integers. The products
 * are those of VNNI, or of the tiles of AMX. The arithmetic is that of reduced_columns.h.
 *
 * A vector of 16-bit integers has the order of columns in which two vectors of 32 bits are packed, and
 * unpacking restores them, so that no instruction is spent on the order. */
#ifndef SCIML_REDUCED_COLUMNS_AVX512_H
#define SCIML_REDUCED_COLUMNS_AVX512_H

#include "engine/gate_table.h"
#include "engine/reduced_products_avx512.h"

/* A state of 16 bits becomes a float as the upper half of an integer of 32 bits: its unit is 2^-31, which the
 * scales of the products absorb. */
#define STATE_UNIT 0x1p-31f

INLINE __m512 even_half(__m512i x) {
    return _mm512_cvtepi32_ps(_mm512_unpacklo_epi16(_mm512_setzero_si512(), x));
}
INLINE __m512 odd_half(__m512i x) {
    return _mm512_cvtepi32_ps(_mm512_unpackhi_epi16(_mm512_setzero_si512(), x));
}

/* Four codes of each column, in vectors of 16 bits, to bytes side by side. */
INLINE void put_codes(uint8_t *to, const __m512i q[4]) {
    const __m512i low = _mm512_set1_epi16(0xff);
    const __m512i a = _mm512_ternarylogic_epi32(q[0], low, _mm512_slli_epi16(q[1], 8), 0xea);
    const __m512i b = _mm512_ternarylogic_epi32(q[2], low, _mm512_slli_epi16(q[3], 8), 0xea);
    const __m512i offset = _mm512_set1_epi8((char)CODE_OFFSET);
    _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_unpacklo_epi16(a, b), offset));
    _mm512_storeu_si512(to + 64, _mm512_xor_si512(_mm512_unpackhi_epi16(a, b), offset));
}

/* The shift of 16 columns from the largest magnitudes of a block, as bits of floats. */
INLINE __m512i shift_of(__m512i largest) {
    const __mmask16 finite = _mm512_cmplt_epi32_mask(largest, _mm512_set1_epi32(TOO_LARGE));
    const __m512i size = _mm512_maskz_add_epi32(finite, largest, _mm512_set1_epi32(0));
    const __m512i power = _mm512_srli_epi32(_mm512_add_epi32(size, _mm512_set1_epi32(CARRY)), 23);
    return _mm512_min_epi32(_mm512_sub_epi32(_mm512_set1_epi32(133), power),
                            _mm512_set1_epi32(SCIML_MOST_SHIFT));
}

INLINE __m512 power_of_two(__m512i exponent) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(exponent, _mm512_set1_epi32(127)), 23));
}

/* To whole numbers, ties to even, limited to codes. */
INLINE __m512i code_of(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-127.0f)); /* the limit for NaN */
    return _mm512_cvtps_epi32(_mm512_min_ps(x, _mm512_set1_ps(127.0f)));
}

INLINE void code_planes(const float *const *rows, int n, uint8_t *codes, float *scale, uint8_t *rest,
                        int planes) {
    const __m512i size = _mm512_set1_epi32(0x7fffffff);
    __m512i largest[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    __m512 up[2];
    for (int k = 0; k < n; k++)
        for (int v = 0; v < 2; v++)
            largest[v] = _mm512_max_epi32(largest[v],
                                          _mm512_and_si512(size, _mm512_loadu_si512(rows[k] + v * FLOATS)));
    for (int v = 0; v < 2; v++) {
        const __m512i shift = shift_of(largest[v]);
        const __m512 down = power_of_two(_mm512_sub_epi32(_mm512_setzero_si512(), shift));
        up[v] = power_of_two(shift);
        _mm512_storeu_ps(scale + v * FLOATS, down);
        if (planes == 2)
            _mm512_storeu_ps(scale + COLUMNS + v * FLOATS, _mm512_mul_ps(down, _mm512_set1_ps(0x1p-7f)));
    }
    for (int k = 0; k < n; k += 4) {
        __m512i q[4], r[4];
        for (int i = 0; i < 4; i++) {
            __m512i whole[2], second[2];
            if (k + i >= n) {
                q[i] = r[i] = _mm512_setzero_si512();
                continue;
            }
            for (int v = 0; v < 2; v++) {
                const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(rows[k + i] + v * FLOATS), up[v]);
                whole[v] = second[v] = code_of(x);
                if (planes == 2)
                    second[v] = code_of(_mm512_mul_ps(_mm512_sub_ps(x, _mm512_cvtepi32_ps(whole[v])),
                                                      _mm512_set1_ps(128.0f)));
            }
            q[i] = _mm512_packs_epi32(whole[0], whole[1]);
            r[i] = _mm512_packs_epi32(second[0], second[1]);
        }
        put_codes(codes + k * COLUMNS, q);
        if (planes == 2) put_codes(rest + k * COLUMNS, r);
    }
}

static void code_floats(const float *const *rows, int n, uint8_t *codes, float *scale, uint8_t *rest) {
    if (rest)
        code_planes(rows, n, codes, scale, rest, 2);
    else
        code_planes(rows, n, codes, scale, NULL, 1);
}

/* Half-way cases: u is rounded up, and -(h * -factor) down; they differ by one there, and u is made even. */
static void code_states(const int16_t *states, int n, uint8_t *codes, float *scale) {
    const __m512i zero = _mm512_setzero_si512(), single = _mm512_set1_epi16(1);
    __m512i largest = zero, right[2];
    for (int k = 0; k < n; k++)
        largest = _mm512_max_epi16(largest, _mm512_abs_epi16(_mm512_loadu_si512(states + k * COLUMNS)));
    for (int v = 0; v < 2; v++) {
        const __m512i size = v ? _mm512_unpackhi_epi16(largest, zero) : _mm512_unpacklo_epi16(largest, zero);
        const __m512i bits = _mm512_castps_si512(_mm512_cvtepi32_ps(size));
        /* bits to drop of each state: 15 - shift; at least -6, that of the smallest state */
        const __m512i power = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(CARRY)), 23);
        right[v] = _mm512_max_epi32(_mm512_sub_epi32(power, _mm512_set1_epi32(133)), _mm512_set1_epi32(-6));
        _mm512_storeu_ps(scale + v * FLOATS, power_of_two(_mm512_sub_epi32(right[v], _mm512_set1_epi32(15))));
    }
    const __m512i drop = _mm512_packs_epi32(right[0], right[1]);
    const __m512i left = _mm512_max_epi16(_mm512_sub_epi16(single, drop), zero);
    const __m512i factor =
        _mm512_sllv_epi16(single, _mm512_sub_epi16(_mm512_set1_epi16(15), _mm512_add_epi16(drop, left)));
    const __m512i minus = _mm512_sub_epi16(zero, factor);
    for (int k = 0; k < n; k += 4) {
        __m512i q[4];
        for (int i = 0; i < 4; i++) {
            if (k + i >= n) {
                q[i] = zero;
                continue;
            }
            const __m512i h = _mm512_sllv_epi16(_mm512_loadu_si512(states + (k + i) * COLUMNS), left);
            const __m512i up = _mm512_mulhrs_epi16(h, factor);
            const __m512i half = _mm512_add_epi16(up, _mm512_mulhrs_epi16(h, minus));
            q[i] = _mm512_andnot_si512(half, up);
        }
        put_codes(codes + k * COLUMNS, q);
    }
}

static void round_floats(const float *const *rows, int n, uint8_t *to) {
    const __m512 small = _mm512_set1_ps(0x1p-50f);
    for (int k = 0; k < (n + 31) / 32 * 32; k += 2)
        for (int v = 0; v < 2; v++) {
            __m512 x[2];
            for (int i = 0; i < 2; i++) {
                x[i] = k + i < n ? _mm512_loadu_ps(rows[k + i] + v * FLOATS) : _mm512_setzero_ps();
                const __mmask16 tiny = _mm512_cmp_ps_mask(_mm512_abs_ps(x[i]), small, _CMP_LT_OQ);
                x[i] = _mm512_mask_mov_ps(x[i], tiny, _mm512_setzero_ps());
            }
            put_pair(to, k, v, x[0], x[1]);
        }
}

static void round_states(const int16_t *states, int n, uint8_t *to) {
    for (int k = 0; k < (n + 31) / 32 * 32; k += 2) {
        const __m512i zero = _mm512_setzero_si512();
        const __m512i a = k < n ? _mm512_loadu_si512(states + k * COLUMNS) : zero;
        const __m512i b = k + 1 < n ? _mm512_loadu_si512(states + (k + 1) * COLUMNS) : zero;
        put_pair(to, k, 0, even_half(a), even_half(b));
        put_pair(to, k, 1, odd_half(a), odd_half(b));
    }
}

/* s += the terms of `rows` rows of a group from row `row` on; factor: of each row. */
INLINE void add_terms(const operand *o, const sums *terms, int32_t group, int row, int rows,
                      const float *factor, __m512 s[][2]) {
    const sciml_matrix *m = o->matrix;
    if (m->kind == SCIML_BF16) {
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < 2; v++) /* exact products: the same bits as without the fused operation */
                s[r][v] = _mm512_fmadd_ps(_mm512_loadu_ps(&terms->real[row + r][v * FLOATS]),
                                          _mm512_set1_ps(factor[r] * o->unit), s[r][v]);
        return;
    }
    const float *scale = o->scale, *weight = m->scale + (size_t)group * (size_t)m->blocks * SCIML_ROWS + row;
    for (int32_t j = 0; j < m->blocks; j++, weight += SCIML_ROWS)
        for (int32_t p = 0; p < o->planes; p++, terms++, scale += COLUMNS) {
            const __m512 down[2] = {_mm512_loadu_ps(scale), _mm512_loadu_ps(scale + FLOATS)};
            if (m->kind == SCIML_SIGN) {
                for (int r = 0; r < rows; r++)
                    for (int v = 0; v < 2; v++) {
                        const __m512 x =
                            _mm512_cvtepi32_ps(_mm512_loadu_si512(&terms->whole[row + r][v * FLOATS]));
                        const __m512 y = _mm512_mul_ps(_mm512_mul_ps(x, down[v]), _mm512_set1_ps(weight[r]));
                        s[r][v] = _mm512_add_ps(s[r][v], y);
                    }
                continue;
            }
            for (int r = 0; r < rows; r++)
                for (int v = 0; v < 2; v++) { /* scales are powers of two: the products are exact */
                    const __m512 x =
                        _mm512_cvtepi32_ps(_mm512_loadu_si512(&terms->whole[row + r][v * FLOATS]));
                    s[r][v] = _mm512_fmadd_ps(_mm512_mul_ps(x, down[v]), _mm512_set1_ps(weight[r]), s[r][v]);
                }
        }
}

typedef struct gate_table {
    __m512i c0[2], c1[2], c2[2];
} gate_table;

INLINE gate_table load_table(void) {
    gate_table t;
    for (int n = 0; n < 2; n++) {
        t.c0[n] = _mm512_loadu_si512(sciml_tanh_c0 + 32 * n);
        t.c1[n] = _mm512_loadu_si512(sciml_tanh_c1 + 32 * n);
        t.c2[n] = _mm512_loadu_si512(sciml_tanh_c2 + 32 * n);
    }
    return t;
}

INLINE __m512i tanh_of_code(__m512i z, const gate_table *t) {
    const __m512i size = _mm512_abs_epi16(z), k = _mm512_srli_epi16(size, 9);
    const __m512i d = _mm512_sub_epi16(
        _mm512_and_si512(_mm512_slli_epi16(size, 6), _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(0x4000));
    const __m512i c0 = _mm512_permutex2var_epi16(t->c0[0], k, t->c0[1]);
    const __m512i c1 = _mm512_permutex2var_epi16(t->c1[0], k, t->c1[1]);
    const __m512i c2 = _mm512_permutex2var_epi16(t->c2[0], k, t->c2[1]);
    const __m512i first = _mm512_add_epi16(c1, _mm512_mulhrs_epi16(d, c2));
    const __m512i value = _mm512_add_epi16(c0, _mm512_mulhrs_epi16(d, first));
    return _mm512_mask_sub_epi16(value, _mm512_movepi16_mask(z), _mm512_setzero_si512(), value);
}

/* Two vectors of sums to codes of gates, 0 for NaN. Sums below 2^31 need no limit before they are converted.
 */
INLINE __m512i gate_code(const __m512 s[2], int bounded) {
    const __m512 most = _mm512_set1_ps(32767.0f);
    __m512i z[2];
    for (int v = 0; v < 2; v++)
        z[v] = _mm512_cvtps_epi32(
            bounded ? s[v] : _mm512_maskz_min_ps(_mm512_cmp_ps_mask(s[v], s[v], _CMP_ORD_Q), s[v], most));
    return _mm512_max_epi16(_mm512_packs_epi32(z[0], z[1]), _mm512_set1_epi16(-32767));
}

INLINE __m512i sigmoid_of(const __m512 s[2], int bounded, const gate_table *t) {
    return _mm512_add_epi16(_mm512_srai_epi16(tanh_of_code(gate_code(s, bounded), t), 1),
                            _mm512_set1_epi16(16384));
}

/* From the gates to the codes of the cells, whose unit is 2^-30, that of the product of two gates. No cell is
 * above the number of levels. */
INLINE __m512i update_cells(__m512i i, __m512i f, __m512i g, float *cells, int first) {
    const __m512i low = _mm512_mullo_epi16(i, g), high = _mm512_mulhi_epi16(i, g);
    const __m512 forget[2] = {even_half(f), odd_half(f)};
    __m512 c[2] = {_mm512_cvtepi32_ps(_mm512_unpacklo_epi16(low, high)),
                   _mm512_cvtepi32_ps(_mm512_unpackhi_epi16(low, high))};
    for (int v = 0; v < 2; v++) {
        float *cell = cells + v * FLOATS;
        if (!first)
            c[v] = _mm512_fmadd_ps(_mm512_mul_ps(forget[v], _mm512_loadu_ps(cell)), _mm512_set1_ps(0x1p-31f),
                                   c[v]);
        _mm512_storeu_ps(cell, c[v]);
        c[v] = _mm512_mul_ps(c[v], _mm512_set1_ps(0x1p-18f));
    }
    return gate_code(c, 1);
}

/* Two passes over the units, so that the chains of dependent operations of neighbours overlap. */
INLINE void update(const operand *operands, int count, const sums *terms, const float *bias, int32_t group,
                   int units, int bounded, float *cells, int16_t *states, int first) {
    static const float factor[GATES] = {SCIML_GATE_SCALE, SCIML_GATE_SCALE, 2 * SCIML_GATE_SCALE,
                                        SCIML_GATE_SCALE};
    const gate_table table = load_table();
    __m512i open[UNITS], cell[UNITS];
    for (int u = 0; u < units; u++, bias += GATES, cells += COLUMNS) {
        __m512 s[GATES][2];
        for (int g = 0; g < GATES; g++)
            s[g][0] = s[g][1] = _mm512_set1_ps(bias[g]);
        add_terms(&operands[0], terms, group, u * GATES, GATES, factor, s);
        if (count == 2)
            add_terms(&operands[1], terms + terms_of(&operands[0]), group, u * GATES, GATES, factor, s);
        const __m512i i = sigmoid_of(s[0], bounded, &table), f = sigmoid_of(s[1], bounded, &table);
        const __m512i g = tanh_of_code(gate_code(s[2], bounded), &table);
        open[u] = sigmoid_of(s[3], bounded, &table);
        cell[u] = update_cells(i, f, g, cells, first);
    }
    for (int u = 0; u < units; u++)
        _mm512_storeu_si512(states + u * COLUMNS,
                            _mm512_mulhrs_epi16(open[u], tanh_of_code(cell[u], &table)));
}

static void update_units(const operand *operands, int count, const sums *terms, const float *bias,
                         int32_t group, int units, int bounded, float *cells, int16_t *states, int first) {
    if (bounded && !first && units == UNITS) /* most calls: without a branch inside */
        update(operands, 2, terms, bias, group, UNITS, 1, cells, states, 0);
    else
        update(operands, count, terms, bias, group, units, bounded, cells, states, first);
}

static void put_outputs(const operand *o, const sums *terms, const float *bias, int32_t group, int rows,
                        const float *poison, float *to) {
    const float factor = 1.0f;
    for (int r = 0; r < rows; r++, to += COLUMNS) {
        __m512 s[1][2];
        s[0][0] = s[0][1] = _mm512_set1_ps(bias[r]);
        add_terms(o, terms, group, r, 1, &factor, s);
        for (int v = 0; v < 2; v++)
            _mm512_storeu_ps(to + v * FLOATS, _mm512_add_ps(s[0][v], _mm512_loadu_ps(poison + v * FLOATS)));
    }
}

static void put_states(const int16_t *states, const float *poison, float *to) {
    const __m512i h = _mm512_loadu_si512(states);
    const __m512 x[2] = {even_half(h), odd_half(h)}, unit = _mm512_set1_ps(STATE_UNIT);
    for (int v = 0; v < 2; v++)
        _mm512_storeu_ps(to + v * FLOATS,
                         _mm512_add_ps(_mm512_mul_ps(x[v], unit), _mm512_loadu_ps(poison + v * FLOATS)));
}

#endif
