/* Columns in lanes: what the physics needs of vectors of doubles, beyond vectors.h.
 *
 * Everything is lane by lane: no result of one lane depends on another. */
#ifndef SCIML_VECTOR_MATH_H
#define SCIML_VECTOR_MATH_H

#define SCIML_BITS 64
#include "engine/vectors.h"

#include <stddef.h>

/* The physics is compiled once per instruction set; NAMED(x) is x with that set's suffix. */
#define NAMED_GLUE(a, b, c) a##b##_##c
#define NAMED_OF(a, b, c) NAMED_GLUE(a, b, c)
#define NAMED(x) NAMED_OF(sciml_, x, SCIML_ISA)
#define NAMED_TEXT_GLUE(a) #a
#define NAMED_TEXT(a) NAMED_TEXT_GLUE(a)

typedef uint64_t vbits __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t vindex __attribute__((vector_size(VECTOR_BYTES / 2)));

/* As many floats as there are lanes. */
typedef float vfloat __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
INLINE vreal from_floats(const float *p) {
#if VECTOR_BYTES == 64
    return (vreal)_mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif VECTOR_BYTES == 32
    return (vreal)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return __builtin_convertvector(*(const vfloat *)p, vreal);
#endif
}
INLINE void to_floats(float *p, vreal x) {
    *(vfloat *)p = __builtin_convertvector(x, vfloat);
}

/* Four floats from each lane's own address, as four vectors; and back. */
#if VECTOR_BYTES == 64
#    define HAS_FOURS 1
INLINE void transpose_fours(__m256 row[4]) {
    const __m256 low_01 = _mm256_unpacklo_ps(row[0], row[1]), low_23 = _mm256_unpacklo_ps(row[2], row[3]);
    const __m256 high_01 = _mm256_unpackhi_ps(row[0], row[1]), high_23 = _mm256_unpackhi_ps(row[2], row[3]);
    row[0] = _mm256_shuffle_ps(low_01, low_23, 0x44);
    row[1] = _mm256_shuffle_ps(low_01, low_23, 0xee);
    row[2] = _mm256_shuffle_ps(high_01, high_23, 0x44);
    row[3] = _mm256_shuffle_ps(high_01, high_23, 0xee);
}
INLINE void load_fours(const float *const from[LANES], vreal to[4]) {
    __m256 row[4];
    for (int l = 0; l < 4; l++)
        row[l] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from[l])), _mm_loadu_ps(from[l + 4]), 1);
    transpose_fours(row);
    for (int n = 0; n < 4; n++)
        to[n] = (vreal)_mm512_cvtps_pd(row[n]);
}
INLINE void store_fours(const vreal from[4], float *const to[LANES]) {
    __m256 row[4];
    for (int n = 0; n < 4; n++)
        row[n] = _mm512_cvtpd_ps((__m512d)from[n]);
    transpose_fours(row);
    for (int l = 0; l < 4; l++) {
        _mm_storeu_ps(to[l], _mm256_castps256_ps128(row[l]));
        _mm_storeu_ps(to[l + 4], _mm256_extractf128_ps(row[l], 1));
    }
}
#elif VECTOR_BYTES == 32
#    define HAS_FOURS 1
INLINE void load_fours(const float *const from[LANES], vreal to[4]) {
    __m128 row[4];
    for (int l = 0; l < 4; l++)
        row[l] = _mm_loadu_ps(from[l]);
    _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
    for (int n = 0; n < 4; n++)
        to[n] = (vreal)_mm256_cvtps_pd(row[n]);
}
INLINE void store_fours(const vreal from[4], float *const to[LANES]) {
    __m128 row[4];
    for (int n = 0; n < 4; n++)
        row[n] = _mm256_cvtpd_ps((__m256d)from[n]);
    _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
    for (int l = 0; l < 4; l++)
        _mm_storeu_ps(to[l], row[l]);
}
#else
#    define HAS_FOURS 0
#endif

/* As many doubles as there are lanes, anywhere in memory. */
typedef double vloose __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));

/* a where the mask is set, b elsewhere. */
INLINE vreal choose(vword m, vreal a, vreal b) {
#if VECTOR_BYTES == 32
    return (vreal)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m);
#elif VECTOR_BYTES == 64
    return (vreal)_mm512_mask_blend_pd(_mm512_test_epi64_mask((__m512i)m, (__m512i)m), (__m512d)b,
                                       (__m512d)a);
#elif defined(__SSE2__)
    return (vreal)_mm_or_pd(_mm_and_pd((__m128d)m, (__m128d)a), _mm_andnot_pd((__m128d)m, (__m128d)b));
#else
    return (vreal)((m & (vword)a) | (~m & (vword)b));
#endif
}

/* a where the mask is set, zero elsewhere. */
INLINE vreal only(vword m, vreal a) {
    return (vreal)(m & (vword)a);
}

INLINE int any(vword m) {
#if VECTOR_BYTES == 64
    return _mm512_test_epi64_mask((__m512i)m, (__m512i)m) != 0;
#elif VECTOR_BYTES == 32
    return _mm256_movemask_pd((__m256d)m) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_pd((__m128d)m) != 0;
#else
    int64_t set = 0;
    for (int l = 0; l < LANES; l++)
        set |= m[l];
    return set != 0;
#endif
}

INLINE vreal root(vreal x) {
#if VECTOR_BYTES == 64
    return (vreal)_mm512_sqrt_pd((__m512d)x);
#elif VECTOR_BYTES == 32
    return (vreal)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
    return (vreal)_mm_sqrt_pd((__m128d)x);
#else
    for (int l = 0; l < LANES; l++)
        x[l] = __builtin_sqrt(x[l]);
    return x;
#endif
}

/* The reciprocal of a normal number, to within one unit in the last place: on AVX-512 by two steps of Newton,
 * which take a third of the time of a division. */
INLINE vreal reciprocal(vreal x) {
#if VECTOR_BYTES == 64
    vreal r = (vreal)_mm512_rcp14_pd((__m512d)x);
    r = FMA(r, FMA(-x, r, splat(1.0)), r);
    return FMA(r, FMA(-x, r, splat(1.0)), r);
#else
    return 1.0 / x;
#endif
}

INLINE vreal absolute(vreal x) {
    return (vreal)((vword)x & 0x7fffffffffffffff);
}

/* At least `low`; NaN becomes `low`. */
INLINE vreal at_least(vreal x, double low) {
    return MAX(x, splat(low));
}
/* At most `high`; NaN becomes `high`. */
INLINE vreal at_most(vreal x, double high) {
    return MIN(x, splat(high));
}
INLINE vreal between(vreal x, double low, double high) {
    return at_least(at_most(x, high), low);
}

/* Whole part of numbers within the 32-bit integers, as integers. */
INLINE vindex whole(vreal x) {
    return __builtin_convertvector(x, vindex);
}
INLINE vreal from_whole(vindex x) {
    return __builtin_convertvector(x, vreal);
}

/* The largest integer not above x, for |x| < 2^31. */
INLINE vreal floor_of(vreal x) {
    const vreal n = from_whole(whole(x));
    return n - only(n > x, splat(1.0));
}

INLINE double greatest(vreal x) {
    double most = x[0];
    for (int l = 1; l < LANES; l++)
        most = x[l] > most ? x[l] : most;
    return most;
}

/* The exponential function, to within one unit in the last place; 0 < exp(-708) is the least result.
 *
 * x = n ln 2 + r, |r| <= ln 2 / 2, and Taylor's polynomial of expm1(r): the next term is 1e-17. */
INLINE vreal exp_of(vreal x) {
    x = MAX(splat(-708.0), MIN(splat(709.0), x));
    const vreal shift = splat(6755399441055744.0); /* 1.5 * 2^52: the sum's low bits are the integer */
    const vreal t = FMA(x, splat(1.44269504088896340736), shift);
    const vreal n = t - shift;
    vreal r = FMA(n, splat(-6.93145751953125e-1), x);
    r = FMA(n, splat(-1.42860682030941723212e-6), r);
    /* even and odd powers apart: half the length of the chain */
    const vreal s = r * r;
    vreal even = FMA(splat(1.0 / 479001600.0), s, splat(1.0 / 3628800.0));
    vreal odd = FMA(splat(1.0 / 6227020800.0), s, splat(1.0 / 39916800.0));
    even = FMA(even, s, splat(1.0 / 40320.0));
    odd = FMA(odd, s, splat(1.0 / 362880.0));
    even = FMA(even, s, splat(1.0 / 720.0));
    odd = FMA(odd, s, splat(1.0 / 5040.0));
    even = FMA(even, s, splat(1.0 / 24.0));
    odd = FMA(odd, s, splat(1.0 / 120.0));
    even = FMA(even, s, splat(1.0 / 2.0));
    odd = FMA(odd, s, splat(1.0 / 6.0));
    const vreal p = FMA(FMA(odd, r, even), s, r);
    const vreal power = (vreal)(((vword)t << 52) + 0x3ff0000000000000);
    return FMA(power, p, power);
}

/* The natural logarithm of a positive normal number, to within two units in the last place.
 *
 * x = 2^n m, m within a factor sqrt(2) of 1; with s = (m - 1) / (m + 1), log m = 2 artanh s. */
INLINE vreal log_of(vreal x) {
    const vword bits = (vword)x;
    const vword shifted = bits - 0x3fe6a09e667f3bcd; /* the bits of sqrt(1/2) */
    const vword exponent = shifted & (int64_t)0xfff0000000000000;
    const vreal f = (vreal)(bits - exponent) - 1.0;
    /* n as a double without a conversion, which AVX2 does not have: n + 2048 in the low bits of 2^52 */
    const vword biased = (vword)(((vbits)exponent >> 52) ^ 0x800);
    const vreal n = (vreal)(biased | 0x4330000000000000) - 4503599627372544.0;
    const vreal s = f / (2.0 + f), z = s * s, y = z * z;
    vreal even = FMA(splat(2.0 / 19.0), y, splat(2.0 / 15.0));
    vreal odd = FMA(splat(2.0 / 21.0), y, splat(2.0 / 17.0));
    even = FMA(even, y, splat(2.0 / 11.0));
    odd = FMA(odd, y, splat(2.0 / 13.0));
    even = FMA(even, y, splat(2.0 / 7.0));
    odd = FMA(odd, y, splat(2.0 / 9.0));
    even = FMA(even, y, splat(2.0 / 3.0));
    odd = FMA(odd, y, splat(2.0 / 5.0));
    const vreal tail = z * FMA(odd, z, even);
    /* 2 s = f - s f, so that the error of the quotient hardly counts */
    const vreal low = FMA(n, splat(1.90821492927058770002e-10), -(s * (f - tail)));
    return FMA(n, splat(6.93147180369123816490e-01), low + f);
}

/* x^y for positive x. */
INLINE vreal power_of(vreal x, double y) {
    return exp_of(log_of(x) * y);
}

#endif
