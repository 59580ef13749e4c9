/* Vectors of the instruction set this file is compiled for, and the activations on them.
 *
 * SCIML_BITS is 32 or 64. A fused multiply-add is written as FMA(a, b, c) and the compiler has the flag
 * not to contract on its own (-ffp-contract=off): then a lane's bits depend on nothing but its own
 * inputs, whatever the shape of the loop around it. */
#ifndef SCIML_VECTORS_H
#define SCIML_VECTORS_H

#include <stdint.h>

#if defined(__AVX512F__)
#    define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#    define VECTOR_BYTES 32
#else
#    define VECTOR_BYTES 16
#endif
/* immintrin.h takes a compiler a quarter of a second for each file. */
#if VECTOR_BYTES > 16
#    include <immintrin.h>
#elif defined(__SSE2__)
#    include <emmintrin.h>
#elif defined(__aarch64__)
#    include <arm_neon.h>
#endif

#if SCIML_BITS == 32
typedef float real;
typedef int32_t word;
#    define R(x) x##f
#else
typedef double real;
typedef int64_t word;
#    define R(x) x
#endif
typedef real vreal __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef word vword __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define LANES ((int)(VECTOR_BYTES / sizeof(real)))
#define MOST_CHAINS 12
#define INLINE static inline __attribute__((always_inline))

/* MIN and MAX return their second argument when either is NaN, so NaN passes through. */
#if VECTOR_BYTES == 64 && SCIML_BITS == 32
#    define FMA(a, b, c) ((vreal)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#    define MIN(a, b) ((vreal)_mm512_min_ps((__m512)(a), (__m512)(b)))
#    define MAX(a, b) ((vreal)_mm512_max_ps((__m512)(a), (__m512)(b)))
#elif VECTOR_BYTES == 64
#    define FMA(a, b, c) ((vreal)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#    define MIN(a, b) ((vreal)_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#    define MAX(a, b) ((vreal)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#elif VECTOR_BYTES == 32 && SCIML_BITS == 32
#    define FMA(a, b, c) ((vreal)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#    define MIN(a, b) ((vreal)_mm256_min_ps((__m256)(a), (__m256)(b)))
#    define MAX(a, b) ((vreal)_mm256_max_ps((__m256)(a), (__m256)(b)))
#elif VECTOR_BYTES == 32
#    define FMA(a, b, c) ((vreal)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#    define MIN(a, b) ((vreal)_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#    define MAX(a, b) ((vreal)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#elif defined(__SSE2__) && SCIML_BITS == 32
#    define FMA(a, b, c) ((a) * (b) + (c))
#    define MIN(a, b) ((vreal)_mm_min_ps((__m128)(a), (__m128)(b)))
#    define MAX(a, b) ((vreal)_mm_max_ps((__m128)(a), (__m128)(b)))
#elif defined(__SSE2__)
#    define FMA(a, b, c) ((a) * (b) + (c))
#    define MIN(a, b) ((vreal)_mm_min_pd((__m128d)(a), (__m128d)(b)))
#    define MAX(a, b) ((vreal)_mm_max_pd((__m128d)(a), (__m128d)(b)))
#else
#    if defined(__aarch64__) && SCIML_BITS == 32
#        define FMA(a, b, c) ((vreal)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#    elif defined(__aarch64__)
#        define FMA(a, b, c) ((vreal)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#    else
#        define FMA(a, b, c) ((a) * (b) + (c))
#    endif
/* Lane by lane with masks: a where the comparison is true, b elsewhere (and for NaN). */
#    define PICK(m, a, b) ((vreal)(((vword)(m) & (vword)(a)) | (~(vword)(m) & (vword)(b))))
#    define MIN(a, b) PICK((a) < (b), a, b)
#    define MAX(a, b) PICK((a) > (b), a, b)
#endif

INLINE vreal splat(real x) {
    return x - (vreal){0};
}
INLINE vreal load(const real *p) {
    return *(const vreal *)p;
}
INLINE void store(real *p, vreal v) {
    *(vreal *)p = v;
}

/* Ranges of the exponent outside which a sigmoid or a hyperbolic tangent is 0 or 1 to far below one
 * rounding; they keep every product of powers finite. */
#if SCIML_BITS == 32
#    define SIGMOID_LOW R(-40.0)
#    define SIGMOID_HIGH R(40.0)
#    define TANH_RANGE R(40.0)
#else
#    define SIGMOID_LOW R(-60.0)
#    define SIGMOID_HIGH R(300.0)
#    define TANH_RANGE R(60.0)
#endif
#define LOG2_E R(1.4426950408889634074)

/* x[j] := 2^x[j] - 1, for n vectors at once, step by step side by side: a single chain of dependent
 * operations would leave the units idle. Within the ranges above; NaN stays NaN.
 *
 * x = i + r with i whole, |r| <= 1/2; 2^x - 1 = 2^i (2^r - 1) + (2^i - 1). Adding 1.5 * 2^mantissa
 * rounds to the whole number and leaves it in the low bits; the shift drops all else, and adding exponent_one
 * sets the bias of the exponent. In single precision the polynomial is the one of least largest relative
 * error (2e-8 with these coefficients), in double precision Taylor's (2e-16). */
INLINE void power_less_one(int n, vreal *x) {
#if SCIML_BITS == 32
    static const real c[] = {0x1.4308fcp-13f, 0x1.5f07b6p-10f, 0x1.3b2bap-7f,
                             0x1.c6af6ep-5f,  0x1.ebfbdep-3f,  0x1.62e43p-1f};
    const real magic = 12582912.0f;
    const int mantissa = 23;
    const word exponent_one = 0x3f800000;
#else
    static const real c[] = {1.3691488853904128e-12, 2.5678435993488206e-11, 4.4455382718708116e-10,
                             7.0549116208011234e-9,  1.0178086009239701e-7,  1.3215486790144310e-6,
                             1.5252733804059841e-5,  1.5403530393381610e-4,  1.3333558146428443e-3,
                             9.6181291076284771e-3,  5.5504108664821580e-2,  2.4022650695910071e-1,
                             6.9314718055994531e-1};
    const real magic = 6755399441055744.0;
    const int mantissa = 52;
    const word exponent_one = 0x3ff0000000000000;
#endif
    const int terms = (int)(sizeof c / sizeof *c);
    vreal t[MOST_CHAINS], q[MOST_CHAINS];
#pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        t[j] = x[j] + magic;
#pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        x[j] = x[j] - (t[j] - magic);
#pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        q[j] = FMA(x[j], splat(c[0]), splat(c[1]));
#pragma GCC unroll 12
    for (int k = 2; k < terms; k++)
#pragma GCC unroll 12
        for (int j = 0; j < n; j++)
            q[j] = FMA(q[j], x[j], splat(c[k]));
#pragma GCC unroll 12
    for (int j = 0; j < n; j++) {
        const vreal s = (vreal)(((vword)t[j] << mantissa) + exponent_one);
        x[j] = FMA(s, q[j] * x[j], s - R(1.0));
    }
}

/* x[j] := 1 + 2^x[j], the reciprocal of a sigmoid, in the same way. In single precision a polynomial
 * of lesser degree does (relative error 1e-7 before rounding), as nothing small has to stay exact. */
INLINE void power_and_one(int n, vreal *x) {
#if SCIML_BITS == 32
    static const real c[] = {0x1.5bb9bp-10f, 0x1.3cea92p-7f, 0x1.c6b70ep-5f,
                             0x1.ebf9bep-3f, 0x1.62e42ap-1f, 1.0f};
    const int terms = (int)(sizeof c / sizeof *c);
    const real magic = 12582912.0f;
    const word exponent_one = 0x3f800000;
    vreal t[MOST_CHAINS], q[MOST_CHAINS];
#    pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        t[j] = x[j] + magic;
#    pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        x[j] = x[j] - (t[j] - magic);
#    pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        q[j] = FMA(x[j], splat(c[0]), splat(c[1]));
#    pragma GCC unroll 12
    for (int k = 2; k < terms; k++)
#    pragma GCC unroll 12
        for (int j = 0; j < n; j++)
            q[j] = FMA(q[j], x[j], splat(c[k]));
#    pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        x[j] = FMA((vreal)(((vword)t[j] << 23) + exponent_one), q[j], splat(R(1.0)));
#else
    power_less_one(n, x);
#    pragma GCC unroll 12
    for (int j = 0; j < n; j++)
        x[j] = x[j] + R(2.0);
#endif
}

/* Into the ranges. */
INLINE vreal sigmoid_range(vreal x) {
    return MAX(splat(SIGMOID_LOW), MIN(splat(SIGMOID_HIGH), x));
}
INLINE vreal tanh_range(vreal x) {
    return MAX(splat(-TANH_RANGE), MIN(splat(TANH_RANGE), x));
}

#endif
