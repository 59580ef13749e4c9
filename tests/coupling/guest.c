/* A host with floating-point traps, flags and a rounding of its own: none of them may matter to the library,
 * nor be changed by it.
 *
 *     guest WEIGHTS COLUMNS OUTPUT TRAPS UPWARD THREADS
 *
 * COLUMNS: two integers of 4 bytes, columns and levels, then the inputs in the library's order. */
#define _GNU_SOURCE
#include "sciml_mskf.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static char message[300];

/* Rounding and flags, as one number. */
static int environment(void) {
    return fegetround() * 64 + fetestexcept(FE_ALL_EXCEPT);
}

static int run_network(const sciml_mskf *handle, ptrdiff_t levels, int threads) {
    sciml_mskf_description d;
    sciml_mskf_describe(handle, &d, message, sizeof message);
    const ptrdiff_t n = 300, c = d.channels, o = d.outputs;
    float *x = calloc((size_t)(n * levels * c), sizeof *x), *y = calloc((size_t)(n * levels * o), sizeof *y);
    float pooled[1];
    x[0] = NAN;
    x[levels * c] = 3e38f;
    x[levels * c + 1] = -INFINITY;
    const ptrdiff_t xs[3] = {levels * c, c, 1}, ys[3] = {levels * o, o, 1}, ps[2] = {0, 0};
    const int status = sciml_network_run(handle, n, (int32_t)levels, x, xs, y, ys, pooled, ps, threads,
                                         message, sizeof message);
    free(x);
    free(y);
    return status;
}

static float *numbers(FILE *file, size_t count) {
    float *x = malloc(count * sizeof *x);
    if (!x || fread(x, sizeof *x, count, file) != count) exit(2);
    return x;
}

int main(int count, char **words) {
    if (count != 7) return 2;
    FILE *file = fopen(words[2], "rb");
    int32_t sizes[2];
    if (!file || fread(sizes, 4, 2, file) != 2) return 2;
    const ptrdiff_t n = sizes[0], k = sizes[1];
    float *in = numbers(file, (size_t)(n * (SCIML_INPUT_PROFILES * k + SCIML_INPUT_SURFACES)));
    const size_t answers = (size_t)(n * (SCIML_OUTPUT_PROFILES * k + SCIML_OUTPUT_SURFACES));
    float *out = calloc(answers, sizeof *out);
    int32_t *kind = calloc((size_t)n, sizeof *kind);
    const int threads = atoi(words[6]);
    sciml_mskf_domain domain = {n, 1, (int32_t)k, threads, 0, 0, {k, 1, n * k}, {1, n}, 1e4, 50, 5};
    sciml_mskf_fields fields = {.kind = kind};
    for (int i = 0; i < SCIML_INPUT_PROFILES; i++)
        fields.in3[i] = in + i * n * k;
    for (int i = 0; i < SCIML_INPUT_SURFACES; i++)
        fields.in2[i] = in + SCIML_INPUT_PROFILES * n * k + i * n;
    for (int i = 0; i < SCIML_OUTPUT_PROFILES; i++)
        fields.out3[i] = out + i * n * k;
    for (int i = 0; i < SCIML_OUTPUT_SURFACES; i++)
        fields.out2[i] = out + SCIML_OUTPUT_PROFILES * n * k + i * n;

    if (atoi(words[5])) fesetround(FE_UPWARD);
    if (atoi(words[4])) feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
    const int traps = fegetexcept();
    feraiseexcept(FE_UNDERFLOW);
    const int before = environment();
    sciml_mskf *handle;
    int status = sciml_mskf_init(words[1], &handle, message, sizeof message);
    if (!status) status = sciml_mskf_run(handle, &domain, &fields, message, sizeof message);
    if (!status) status = run_network(handle, k, threads);
    domain.dt = NAN;
    if (!status && sciml_mskf_run(handle, &domain, &fields, message, sizeof message) != SCIML_ARGUMENT)
        status = 77;
    const int after = environment();
    fedisableexcept(FE_ALL_EXCEPT);
    if (status || before != after) {
        printf("status %d, environment %d and then %d, traps %d: %s\n", status, before, after, traps,
               message);
        return 1;
    }
    sciml_mskf_finalise(&handle);
    FILE *to = fopen(words[3], "wb");
    if (!to || fwrite(out, sizeof *out, answers, to) != answers ||
        fwrite(kind, 4, (size_t)n, to) != (size_t)n)
        return 2;
    fclose(file);
    free(in);
    free(out);
    free(kind);
    return fclose(to);
}
