/* The peak rate of multiply-adds of this core, for the benchmark.
 *
 * The widest vectors this file is compiled for, twelve independent chains (more than latency times
 * issue width asks for), all operands in registers. Not part of libsciml_mskf. */
#include "engine/vectors.h"

#include <stddef.h>
#include <time.h>

#define CHAINS 12

__attribute__((visibility("default"))) double sciml_peak(double seconds);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Floating-point operations in a second of the thread's processor time. */
double sciml_peak(double seconds) {
    vreal a[CHAINS], x = splat(R(0.9999)), y = splat(R(1e-5));
    for (int i = 0; i < CHAINS; i++)
        a[i] = splat((real)i);
    double count = 0, used;
    const double start = now();
    do {
        for (int n = 0; n < 100000; n++) {
#pragma GCC unroll 12
            for (int i = 0; i < CHAINS; i++)
                a[i] = FMA(a[i], x, y);
            __asm__ volatile("" : "+x"(x), "+x"(y));
        }
        count += 100000.0 * CHAINS * LANES * 2;
        used = now() - start;
    } while (used < seconds);
    for (int i = 1; i < CHAINS; i++)
        a[0] += a[i];
    volatile real sink = a[0][0];
    (void)sink;
    return count / used;
}
