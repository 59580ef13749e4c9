/* Damage a weights file at random and give it to the reader; half of the time the checksum is made
 * right again, so that what lies behind it is reached too. What opens is run: a bare network on
 * zeros, an emulator of a declared scheme on a few columns, a whole emulator on the columns given
 * (float32: 9 profiles of columns x levels, 4 surface fields). Prints rounds, and how many opened.
 *
 *     fuzz WEIGHTS ROUNDS [COLUMNS LEVELS]
 *
 * With -DLIBFUZZER it is a target of libFuzzer instead: files that are sealed before they are opened;
 * SCIML_COLUMNS and SCIML_LEVELS in the environment have the columns. */
#include "column/column_scheme.h"
#include "engine/arena.h"
#include "engine/netcdf_reader.h"
#include "engine/sha256.h"
#include "mskf/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef LIBFUZZER
static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % below);
}

#endif

static void seal(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i + 71 <= size; i++)
        if (memcmp(bytes + i, "sha256:", 7) == 0) {
            sciml_sha256 sum;
            char digits[65];
            memset(bytes + i + 7, '0', 64);
            sciml_sha256_start(&sum);
            sciml_sha256_add(&sum, bytes, size);
            sciml_sha256_finish(&sum, digits);
            memcpy(bytes + i + 7, digits, 64);
            return;
        }
}

#ifndef LIBFUZZER
static void damage(uint8_t *bytes, size_t *size) {
    static const uint32_t words[] = {0,    1,    2,          4,          5,          6,         0x0a,
                                     0x0b, 0x0c, 0x7fffffff, 0xffffffff, 0x80000000, 0x40000000};
    for (uint32_t n = 1 + draw(4); n > 0 && *size > 0; n--) {
        /* Mostly in the header, which is at most the first 4 KiB. */
        const size_t reach = draw(4) && *size > 4096 ? 4096 : *size, at = draw((uint32_t)reach);
        switch (draw(4)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 1:
            bytes[at] = (uint8_t)draw(256);
            break;
        case 2:
            if ((at & ~(size_t)3) + 4 <= *size) {
                const uint32_t w = words[draw(sizeof words / sizeof *words)];
                for (size_t b = 0; b < 4; b++)
                    bytes[(at & ~(size_t)3) + b] = (uint8_t)(w >> (24 - 8 * b));
            }
            break;
        default:
            if (draw(8) == 0) *size = at;
        }
    }
}

#endif

/* The columns to run, and memory for the outputs. */
static float *given, *answered;
static int32_t kind_of[64];
static size_t columns;
static int32_t levels;

static int run_emulator(const sciml_network *net, const sciml_emulator *emulator) {
    const sciml_mskf handle = {.network = *net,
                               .f32 = sciml_kernel_for(32, NULL, net->format),
                               .f64 = sciml_kernel_for(64, NULL, net->format),
                               .emulator = (sciml_emulator *)emulator};
    const ptrdiff_t n = (ptrdiff_t)columns, k = levels;
    const sciml_mskf_domain domain = {.ni = n,
                                      .nj = 1,
                                      .levels = levels,
                                      .threads = 1,
                                      .s3 = {k, 1, n * k},
                                      .s2 = {1, n},
                                      .dx = 1e4,
                                      .dt = 50,
                                      .cudt = 5};
    sciml_mskf_fields fields = {.kind = kind_of};
    for (int i = 0; i < SCIML_INPUT_PROFILES; i++)
        fields.in3[i] = given + i * n * k;
    for (int i = 0; i < SCIML_INPUT_SURFACES; i++)
        fields.in2[i] = given + SCIML_INPUT_PROFILES * n * k + i * n;
    for (int i = 0; i < SCIML_OUTPUT_PROFILES; i++)
        fields.out3[i] = answered + i * n * k;
    for (int i = 0; i < SCIML_OUTPUT_SURFACES; i++)
        fields.out2[i] = answered + SCIML_OUTPUT_PROFILES * n * k + i * n;
    char message[200] = "";
    const int status = sciml_mskf_run(&handle, &domain, &fields, message, sizeof message);
    if (status) return message[0] ? 0 : -1;
    /* With any weights, sound columns have finite outputs. */
    for (ptrdiff_t c = 0; c < n; c++)
        for (ptrdiff_t j = 0; j < SCIML_OUTPUT_PROFILES * k; j++)
            if (!__builtin_isfinite(answered[j / k * n * k + c * k + j % k])) return -1;
    return 1;
}

/* Run an emulator of a declared scheme; with any weights its outputs are finite. */
static int run_scheme(const sciml_network *net, const sciml_column_scheme *scheme) {
    enum { COLUMNS = 5, LEVELS = 24, FIELDS = SCIML_MOST_FIELDS };
    static double in[2][FIELDS * COLUMNS * LEVELS], out[2][FIELDS * COLUMNS * LEVELS];
    sciml_mskf network = {.network = *net,
                          .f32 = sciml_kernel_for(32, NULL, net->format),
                          .f64 = sciml_kernel_for(64, NULL, net->format)};
    const struct sciml_column handle = {.network = &network, .scheme = *scheme};
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < FIELDS * COLUMNS * LEVELS; i++) {
            in[n][i] = 0.1 * (i % 37);
            out[n][i] = 0.0;
        }
    char message[200] = "";
    if (sciml_column_run(&handle, COLUMNS, LEVELS, in[0], in[1], out[0], out[1], 1, message, sizeof message))
        return message[0] ? 0 : -1;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < FIELDS * COLUMNS * LEVELS; i++)
            if (!__builtin_isfinite(out[n][i])) return -1;
    return 1;
}

/* Open a file in memory, which is freed, and run it: 1 if it opened, 0 if it failed with a message, -1
 * if something is wrong with the reader. */
static int open_exactly(uint8_t *exact, size_t size) {
    char message[200] = "";
    sciml_cdf file;
    if (sciml_cdf_parse(exact, size, "damaged", &file, message, sizeof message)) return message[0] ? 0 : -1;
    sciml_network net;
    int status = sciml_network_load(&file, &net, message, sizeof message);
    sciml_emulator *emulator = NULL;
    static sciml_column_scheme scheme;
    const int declared = !status && !given && sciml_cdf_attribute(&file, "declaration");
    if (declared) {
        status = sciml_column_scheme_read(&file, &net, NULL, &scheme, message, sizeof message);
        if (status) sciml_network_free(&net);
    } else if (!status && given) {
        status = sciml_emulator_load(&file, &net, &emulator, message, sizeof message);
        if (status) sciml_network_free(&net);
    }
    sciml_cdf_close(&file);
    if (status) return message[0] ? 0 : -1;
    int result = 1;
    if (declared) {
        if (net.hidden <= 64) result = run_scheme(&net, &scheme);
    } else if (emulator) {
        result = run_emulator(&net, emulator);
        sciml_emulator_free(emulator);
    } else if (net.hidden <= 64 && net.channels <= 64 && net.head <= 64) {
        const sciml_kernel *kernel = sciml_kernel_for(32, NULL, net.format);
        const int many = net.pool_levels ? net.pool_levels : 3;
        void *scratch = sciml_aligned(kernel->scratch(&net, many)), *head, *pooled;
        memset(scratch, 0, kernel->scratch(&net, many));
        kernel->tile(&net, many, 0, 1, scratch, &head, &pooled);
        sciml_give(scratch);
    }
    sciml_network_free(&net);
    return result;
}

#ifndef LIBFUZZER
static int open_damaged(const uint8_t *good, size_t whole) {
    size_t size = whole;
    uint8_t *bytes = malloc(whole);
    memcpy(bytes, good, whole);
    damage(bytes, &size);
    if (draw(2)) seal(bytes, size);
    uint8_t *exact = sciml_take(size ? size : 1); /* so that the sanitizer sees one byte too many */
    memcpy(exact, bytes, size);
    free(bytes);
    return open_exactly(exact, size);
}
#endif

static int read_columns(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    given = malloc(1 << 20);
    const size_t count = fread(given, sizeof *given, (1 << 20) / sizeof *given, f);
    fclose(f);
    const size_t each = (size_t)levels * SCIML_INPUT_PROFILES + SCIML_INPUT_SURFACES;
    columns = count / each;
    answered =
        calloc(columns * ((size_t)levels * SCIML_OUTPUT_PROFILES + SCIML_OUTPUT_SURFACES), sizeof(float));
    return count % each == 0 && columns <= 64;
}

#ifdef LIBFUZZER
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    const char *path = getenv("SCIML_COLUMNS"), *number = getenv("SCIML_LEVELS");
    levels = number ? atoi(number) : 0;
    if (path && !read_columns(path)) abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    uint8_t *exact = sciml_take(size ? size : 1);
    memcpy(exact, bytes, size);
    seal(exact, size);
    if (open_exactly(exact, size) < 0) abort();
    return 0;
}
#else
int main(int count, char **arguments) {
    if (count != 3 && count != 5) return 2;
    if (count == 5) {
        levels = atoi(arguments[4]);
        if (!read_columns(arguments[3])) return 2;
    }
    FILE *f = fopen(arguments[1], "rb");
    if (!f) return 2;
    uint8_t *good = malloc(1 << 24);
    const size_t size = fread(good, 1, 1 << 24, f);
    fclose(f);
    const long rounds = atol(arguments[2]);
    long opened = 0;
    for (long n = 0; n < rounds; n++) {
        const int result = open_damaged(good, size);
        if (result < 0) return 1;
        opened += result;
    }
    free(good);
    free(given);
    free(answered);
    printf("%ld rounds, %ld opened\n", rounds, opened);
    return 0;
}
#endif
