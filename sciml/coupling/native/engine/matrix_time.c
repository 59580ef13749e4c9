/* The time of one matrix in the kernel of reduced networks, for the choice of widths. Compiled for one
 * instruction set; not part of libsciml_mskf. */
#include "engine/reduced_operand.h"
#if defined(__AVX512VNNI__)
#    include "engine/reduced_columns_avx512.h"
#else
#    include "engine/reduced_columns.h"
#endif

#include <stdlib.h>
#include <time.h>

__attribute__((visibility("default"))) double sciml_matrix_time(int kind, int rows, int columns, int block,
                                                                int levels, int sweeps);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct memory {
    float *input;
    uint8_t *codes, *expanded;
    float *scale, *bias, *out;
    sums *terms;
} memory;

/* Codes of the activations of a level, products and sums of all rows: the work of a matrix in a level. */
static void run_level(operand *o, const memory *m) {
    const sciml_matrix *w = o->matrix;
    const float *rows[SCIML_MAX_WIDTH];
    const float zeros[COLUMNS] = {0};
    const size_t apart = (size_t)sciml_tiles_of(w->block) * CODE_TILE;
    for (int32_t k = 0; k < w->columns; k++)
        rows[k] = m->input + (ptrdiff_t)k * COLUMNS;
    if (w->kind == SCIML_BF16)
        round_floats(rows, w->columns, m->codes);
    else
        for (int32_t j = 0; j < w->blocks; j++)
            code_floats(rows + j * w->block, columns_of_block(w, j), m->codes + (size_t)j * apart,
                        m->scale + j * COLUMNS, NULL);
    begin_products(o, 1, 0);
    for (int32_t g = 0; g < w->groups; g++) {
        const int32_t left = w->rows - g * SCIML_ROWS;
        end_products(o, 1, g, m->terms);
        if (g + 1 < w->groups) begin_products(o, 1, g + 1);
        put_outputs(o, m->terms, m->bias, g, left < SCIML_ROWS ? left : SCIML_ROWS, zeros, m->out);
    }
}

static void *place(char *base, size_t *used, size_t bytes) {
    char *at = base + *used;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

/* Seconds of processor time that a matrix with random codes takes for COLUMNS columns of so many levels; the
 * mean of `sweeps`. -1: no memory. */
double sciml_matrix_time(int kind, int rows, int columns, int block, int levels, int sweeps) {
    sciml_matrix w = {.kind = (enum sciml_matrix_kind)kind, .rows = rows, .columns = columns};
    const int real = w.kind == SCIML_BF16;
    w.groups = (rows + SCIML_ROWS - 1) / SCIML_ROWS;
    w.block = real || block > columns ? columns : block;
    w.blocks = (columns + w.block - 1) / w.block;
    w.tiles = real ? (columns + 31) / 32 : w.blocks * sciml_tiles_of(w.block); /* enough */
    const size_t tiles = (size_t)w.groups * (size_t)w.tiles, numbers = (size_t)w.groups * (size_t)w.blocks;
    const size_t codes = tiles * SCIML_ROWS * SCIML_TILE_BYTES, bytes = numbers * SCIML_ROWS * sizeof(float);
    const size_t row = COLUMNS * sizeof(float);
    const size_t coded = (size_t)w.tiles * (CODE_TILE > FLOAT_TILE ? CODE_TILE : FLOAT_TILE);
    size_t used = 0;
    char *base = NULL;
    memory m;
    for (int pass = 0; pass < 2; pass++) {
        used = 0;
        w.codes = place(base, &used, codes);
        w.scale = place(base, &used, bytes);
        w.negative = place(base, &used, bytes);
        m.input = place(base, &used, (size_t)columns * row);
        m.codes = place(base, &used, coded);
        m.expanded = place(base, &used, tiles * WEIGHT_TILE);
        m.scale = place(base, &used, (size_t)w.blocks * row);
        m.bias = place(base, &used, SCIML_ROWS * sizeof(float));
        m.out = place(base, &used, SCIML_ROWS * row);
        m.terms = place(base, &used, (size_t)w.blocks * sizeof(sums));
        if (!base && !(base = aligned_alloc(64, used))) return -1;
    }
    memset(base, 0, used);
    uint32_t state = 2463534242u;
    for (size_t n = 0; n < codes; n++) /* halves of bfloat16 numbers of usual size, or any codes */
        w.codes[n] = (uint8_t)(real && n % 2 ? 0x3f : (state = state * 1664525u + 1013904223u) >> 24);
    for (size_t n = 0; n < numbers * SCIML_ROWS; n++)
        w.scale[n] = 0x1p-7f;
    for (size_t n = 0; n < (size_t)columns * COLUMNS; n++)
        m.input[n] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.0f;
    begin_tiles();
    const double start = now();
    for (int n = 0; n < sweeps; n++) {
        operand o = {&w, expand(&w, m.expanded), m.codes, m.scale, 1, 1.0f};
        for (int k = 0; k < levels; k++)
            run_level(&o, &m);
    }
    const double used_time = now() - start;
    end_tiles();
    free(base);
    return used_time / sweeps;
}
