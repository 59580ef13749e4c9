/* Kernel of networks whose matrices are multiplied in small integers or in bfloat16.
 *
 * Compiled once per instruction set (SCIML_ISA); all have the same bits, because every sum is of exact
 * integers or of floats in a fixed order, without a fused multiply-add of inexact products. The arithmetic is
 * defined by sciml/compress/integer_lstm.py: codes of 8 bits with a shift for each block of a column's
 * features, sums in int32, gates and states in 16 bits, cells in float.
 *
 * Weights stay packed in memory. A sweep over the levels expands those of 4 bits and of signs to bytes once,
 * which all levels then read from the innermost caches. Signs are not multiplied by counting bits: the
 * activations have 8 bits, so that each product would need 8 counts, and one instruction multiplies and adds
 * 64 bytes in the time of a count. */
#include "engine/lane_order.h"
#include "engine/lstm_kernel.h"
#include "engine/reduced_operand.h"
#if defined(__AVX512VNNI__)
#    include "engine/reduced_columns_avx512.h"
#else
#    include "engine/reduced_columns.h"
#endif

#include "engine/arena.h"

#define JOIN_(a, b, c) a##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

/* Activations of the inputs of a matrix, as codes and as bfloat16: of one level. */
typedef struct activations {
    uint8_t *codes, *numbers;
    float *scale;
} activations;

/* Bytes of one level of these parts. */
typedef struct level_bytes {
    size_t codes, numbers, scale;
} level_bytes;

typedef struct parts {
    float *input;            /* (level, channel, column) */
    int16_t *ping, *pong;    /* states (level, 2 hidden, column), in the kernel's own order of columns */
    activations in, own[2];  /* own: of each direction */
    uint8_t *expanded[2][2]; /* of each direction, of its inputs and its own states */
    float *cells[2];
    sums *terms;
    float *head, *pooled, *states, *poison;
    int32_t *has_states;
} parts;

static level_bytes bytes_of(int32_t columns, int32_t block, int32_t planes) {
    const int32_t n = block < columns ? block : columns, blocks = (columns + n - 1) / n;
    return (level_bytes){
        .codes = (size_t)blocks * (size_t)planes * (size_t)sciml_tiles_of(n) * CODE_TILE,
        .numbers = (size_t)((columns + 31) / 32) * FLOAT_TILE,
        .scale = (size_t)blocks * (size_t)planes * COLUMNS * sizeof(float),
    };
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static level_bytes largest_input(const sciml_network *net) {
    const sciml_reduced *r = net->reduced;
    const level_bytes a = bytes_of(net->channels, r->block, r->planes);
    const level_bytes b = bytes_of(2 * net->hidden, r->block, 1);
    return (level_bytes){larger(a.codes, b.codes), larger(a.numbers, b.numbers), larger(a.scale, b.scale)};
}

static size_t outputs_of(const sciml_network *net) {
    return ((size_t)net->head + GATES - 1) / GATES * GATES;
}

static size_t divide(const sciml_network *net, int32_t levels, char *base, parts *p) {
    const sciml_reduced *r = net->reduced;
    const size_t n = (size_t)levels, both = 2 * (size_t)net->hidden, row = COLUMNS * sizeof(float);
    const level_bytes in = largest_input(net), own = bytes_of(net->hidden, r->block, 1);
    const size_t terms = in.scale / row + own.scale / row;
    size_t expanded = (size_t)r->head.groups * (size_t)r->head.tiles;
    for (int l = 0; l < net->layers; l++)
        for (int d = 0; d < 2; d++) {
            const sciml_reduced_direction *w = &r->lstm[l][d];
            expanded = larger(expanded, (size_t)w->input.groups * (size_t)w->input.tiles);
            expanded = larger(expanded, (size_t)w->own.groups * (size_t)w->own.tiles);
        }
    const struct {
        size_t bytes;
        void *where;
    } all[] = {
        {n * (size_t)net->channels * row, &p->input},
        {n * both * COLUMNS * sizeof(int16_t), &p->ping},
        {n * both * COLUMNS * sizeof(int16_t), &p->pong},
        {n * in.codes, &p->in.codes},
        {n * in.numbers, &p->in.numbers},
        {n * in.scale, &p->in.scale},
        {own.codes, &p->own[0].codes},
        {own.numbers, &p->own[0].numbers},
        {own.scale, &p->own[0].scale},
        {own.codes, &p->own[1].codes},
        {own.numbers, &p->own[1].numbers},
        {own.scale, &p->own[1].scale},
        {expanded * WEIGHT_TILE, &p->expanded[0][0]},
        {expanded * WEIGHT_TILE, &p->expanded[0][1]},
        {expanded * WEIGHT_TILE, &p->expanded[1][0]},
        {expanded * WEIGHT_TILE, &p->expanded[1][1]},
        {(size_t)net->hidden * row, &p->cells[0]},
        {(size_t)net->hidden * row, &p->cells[1]},
        {terms * sizeof(sums), &p->terms},
        {n * outputs_of(net) * row, &p->head},
        {(size_t)net->pooled * row, &p->pooled},
        {n * both * row, &p->states},
        {row, &p->poison},
        {sizeof(int32_t), &p->has_states},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *at = base + used;
        if (base) memcpy(all[i].where, &at, sizeof at);
        used += (all[i].bytes + 63) / 64 * 64;
    }
    return used;
}

static size_t scratch_bytes(const sciml_network *net, int32_t levels) {
    parts unused;
    return divide(net, levels, NULL, &unused);
}

static void *input_place(const sciml_network *net, int32_t levels, void *scratch) {
    parts p;
    divide(net, levels, scratch, &p);
    return p.input;
}

static void *state_place(const sciml_network *net, int32_t levels, void *scratch) {
    parts p;
    divide(net, levels, scratch, &p);
    const int16_t *from = net->layers % 2 ? p.ping : p.pong;
    const size_t rows = (size_t)levels * 2 * (size_t)net->hidden;
    for (size_t i = 0; i < rows && !*p.has_states; i++)
        put_states(from + i * COLUMNS, p.poison, p.states + i * COLUMNS);
    *p.has_states = 1;
    return p.states;
}

/* The activations of one level that the matrices of a layer need. */
typedef struct needs {
    int codes, numbers;
} needs;

static needs needs_of(const sciml_matrix *a, const sciml_matrix *b) {
    return (needs){a->kind != SCIML_BF16 || b->kind != SCIML_BF16,
                   a->kind == SCIML_BF16 || b->kind == SCIML_BF16};
}

static activations at_level(activations a, level_bytes bytes, size_t level) {
    return (activations){a.codes + level * bytes.codes, a.numbers + level * bytes.numbers,
                         a.scale + level * bytes.scale / sizeof(float)};
}

static void code_inputs(const sciml_network *net, needs need, int32_t constant, int32_t level,
                        const float *input, activations to) {
    const float *rows[SCIML_MAX_WIDTH];
    const int32_t block = net->reduced->block, planes = net->reduced->planes, all = net->channels;
    const int32_t whole = block < all ? block : all;
    const size_t block_bytes = (size_t)sciml_tiles_of(whole) * CODE_TILE;
    for (int32_t c = 0; c < all; c++)
        rows[c] = input + ((c < all - constant ? (ptrdiff_t)level * all : 0) + c) * COLUMNS;
    for (int32_t first = 0; need.codes && first < all; first += block) {
        code_floats(rows + first, all - first < block ? all - first : block, to.codes, to.scale,
                    planes == 2 ? to.codes + block_bytes : NULL);
        to.codes += (size_t)planes * block_bytes;
        to.scale += planes * COLUMNS;
    }
    if (need.numbers) round_floats(rows, all, to.numbers);
}

static void code_own(const sciml_reduced *r, needs need, int32_t n, const int16_t *states, activations to) {
    const int32_t whole = r->block < n ? r->block : n;
    if (need.numbers) round_states(states, n, to.numbers);
    for (int32_t first = 0; need.codes && first < n; first += whole) {
        code_states(states + (ptrdiff_t)first * COLUMNS, n - first < whole ? n - first : whole, to.codes,
                    to.scale);
        to.codes += (size_t)sciml_tiles_of(whole) * CODE_TILE;
        to.scale += COLUMNS;
    }
}

static operand operand_of(const sciml_matrix *m, const uint8_t *weights, activations a, int32_t planes,
                          float unit) {
    return (operand){m, weights, m->kind == SCIML_BF16 ? a.numbers : a.codes, a.scale, planes, unit};
}

/* One level of one direction of a layer. */
typedef struct step {
    operand operands[2];
    int count; /* of them: the first level has no states before it */
    int first;
    int16_t *after; /* the states that it computes */
} step;

/* A layer: the activations of its inputs at all levels, to its states. */
typedef struct layer {
    const sciml_network *net;
    const parts *p;
    level_bytes bytes; /* of the activations of a level */
    int number, levels;
    const uint8_t *weights[2][2];
    int16_t *out;
} layer;

static step step_of(const layer *l, int backward, int s) {
    const sciml_reduced_direction *w = &l->net->reduced->lstm[l->number][backward];
    const size_t level = (size_t)(backward ? l->levels - 1 - s : s);
    const int32_t planes = l->number ? 1 : l->net->reduced->planes;
    return (step){
        .operands = {operand_of(&w->input, l->weights[backward][0], at_level(l->p->in, l->bytes, level),
                                planes, l->number ? STATE_UNIT : 1.0f),
                     operand_of(&w->own, l->weights[backward][1], l->p->own[backward], 1, STATE_UNIT)},
        .count = s ? 2 : 1,
        .first = s == 0,
        .after = l->out + (level * 2 + (size_t)backward) * (size_t)l->net->hidden * COLUMNS,
    };
}

/* The directions take turns, and the products of the next units run beside the activations of the present
 * ones: nothing waits for the states of the level before. */
static void run_layer(const sciml_network *net, int number, int32_t levels, level_bytes bytes, double largest,
                      const parts *p, int16_t *out) {
    const sciml_reduced_direction *w = net->reduced->lstm[number];
    layer l = {net, p, bytes, number, levels, {{NULL}}, out};
    const int32_t hidden = net->hidden, groups = w->own.groups;
    for (int d = 0; d < 2; d++) {
        l.weights[d][0] = expand(&w[d].input, p->expanded[d][0]);
        l.weights[d][1] = expand(&w[d].own, p->expanded[d][1]);
    }
    step now = step_of(&l, 0, 0);
    begin_products(now.operands, now.count, 0);
    for (int32_t n = 0; n < 2 * levels; n++) {
        const int d = n % 2, last = n + 1 == 2 * levels;
        const step next = last ? now : step_of(&l, !d, (n + 1) / 2);
        for (int32_t g = 0; g < groups; g++) {
            const int32_t first = g * UNITS, left = hidden - first;
            end_products(now.operands, now.count, g, p->terms);
            if (g + 1 < groups)
                begin_products(now.operands, now.count, g + 1);
            else if (!last)
                begin_products(next.operands, next.count, 0);
            update_units(now.operands, now.count, p->terms, w[d].bias + g * SCIML_ROWS, g,
                         left < UNITS ? left : UNITS, largest <= w[d].most,
                         p->cells[d] + (ptrdiff_t)first * COLUMNS, now.after + (ptrdiff_t)first * COLUMNS,
                         now.first);
        }
        if (n + 2 < 2 * levels)
            code_own(net->reduced, needs_of(&w[d].own, &w[d].own), hidden, now.after, p->own[d]);
        now = next;
    }
}

static void run_heads(const sciml_network *net, int32_t levels, level_bytes bytes, const parts *p) {
    const sciml_reduced *r = net->reduced;
    const size_t outputs = outputs_of(net);
    const uint8_t *weights = expand(&r->head, p->expanded[0][0]);
    for (int32_t k = 0; k < levels; k++) {
        const operand o = operand_of(&r->head, weights, at_level(p->in, bytes, (size_t)k), 1, STATE_UNIT);
        for (int32_t g = 0; g < r->head.groups; g++) {
            const int32_t first = g * SCIML_ROWS, left = net->head - first;
            multiply(&o, g, p->terms);
            put_outputs(&o, p->terms, r->head_bias + first, g, left < SCIML_ROWS ? left : SCIML_ROWS,
                        p->poison, p->head + ((size_t)k * outputs + (size_t)first) * COLUMNS);
        }
    }
    const float *w = net->f32.pool;
    for (int32_t o = 0; o < net->pooled; o++) {
        float *sum = p->pooled + o * COLUMNS;
        const float bias = w[(ptrdiff_t)net->pooled * net->pool_inputs * levels + o];
        for (int c = 0; c < COLUMNS; c++)
            sum[c] = bias;
        for (int32_t i = 0; i < net->pool_inputs; i++)
            for (int32_t k = 0; k < levels; k++) {
                const float a = w[((ptrdiff_t)o * net->pool_inputs + i) * levels + k];
                const float *from = p->head + ((size_t)k * outputs + (size_t)(net->outputs + i)) * COLUMNS;
                for (int c = 0; c < COLUMNS; c++)
                    sum[c] = sum[c] + a * from[c];
            }
        for (int c = 0; c < COLUMNS; c++)
            sum[c] = sum[c] + p->poison[c];
    }
}

typedef int32_t ints __attribute__((vector_size(64), may_alias, aligned(4)));

/* NaN for columns with an input that is too large or not finite, 0 for others; returns the largest magnitude
 * of the inputs. */
static double find_poison(const sciml_network *net, int32_t levels, int32_t constant, const parts *p) {
    ints low = {0}, high = {0};
    int32_t largest[COLUMNS];
    double most = 0;
    for (int32_t k = 0; k < levels; k++) {
        const float *x = p->input + (ptrdiff_t)k * net->channels * COLUMNS;
        for (int32_t i = 0; i < net->channels - (k ? constant : 0); i++, x += COLUMNS) {
            const ints a = *(const ints *)(const void *)x & 0x7fffffff;
            const ints b = *(const ints *)(const void *)(x + COLUMNS / 2) & 0x7fffffff;
            low = (a & (a > low)) | (low & ~(a > low));
            high = (b & (b > high)) | (high & ~(b > high));
        }
    }
    memcpy(largest, &low, sizeof low);
    memcpy(largest + COLUMNS / 2, &high, sizeof high);
    for (int c = 0; c < COLUMNS; c++) {
        const float size = from_bits(largest[c]);
        p->poison[c] = largest[c] < TOO_LARGE ? 0 : from_bits(NOT_A_NUMBER);
        if (largest[c] < TOO_LARGE && size > most) most = size;
    }
    return most;
}

static void run_tile(const sciml_network *net, int32_t levels, int32_t constant, int32_t columns,
                     void *scratch, void **head, void **pooled) {
    const sciml_reduced *r = net->reduced;
    parts p;
    (void)columns; /* lanes beyond the last column are computed like the others, and never read */
    divide(net, levels, scratch, &p);
    begin_tiles();
    const double largest = find_poison(net, levels, constant, &p);
    needs need = needs_of(&r->lstm[0][0].input, &r->lstm[0][1].input);
    level_bytes bytes = bytes_of(net->channels, r->block, r->planes);
    for (int32_t k = 0; k < levels; k++)
        code_inputs(net, need, constant, k, p.input, at_level(p.in, bytes, (size_t)k));
    for (int l = 0; l < net->layers; l++) {
        int16_t *out = l % 2 ? p.pong : p.ping;
        run_layer(net, l, levels, bytes, l ? 1.0 : largest, &p, out);
        const int last = l + 1 == net->layers;
        need = last ? needs_of(&r->head, &r->head)
                    : needs_of(&r->lstm[l + 1][0].input, &r->lstm[l + 1][1].input);
        bytes = bytes_of(2 * net->hidden, r->block, 1);
        for (int32_t k = 0; k < levels; k++)
            code_own(r, need, 2 * net->hidden, out + (ptrdiff_t)k * 2 * net->hidden * COLUMNS,
                     at_level(p.in, bytes, (size_t)k));
    }
    run_heads(net, levels, bytes, &p);
    end_tiles();
    *p.has_states = 0;
    *head = p.head;
    *pooled = p.pooled;
}

SCIML_LANE_ORDER(gather_float, scatter_float, float, float)
SCIML_LANE_ORDER(gather_double, scatter_double, double, float)

/* Gather, run, scatter; for arrays of doubles too, because the network runs in 32 bits for all hosts. */
#define RUN(name, real)                                                                                      \
    static void name(const sciml_network *net, int32_t levels, int32_t columns, int64_t first,               \
                     const sciml_arrays *a, void *scratch) {                                                 \
        const ptrdiff_t *xs = a->xs, *ys = a->ys;                                                            \
        float *in = input_place(net, levels, scratch);                                                       \
        for (int32_t k = 0; k < levels; k++, in += net->channels * COLUMNS)                                  \
            gather_##real((const real *)a->x + first * xs[0] + k * xs[1], xs[0], xs[2],                      \
                          k + 1 < levels ? xs[1] : 0, net->channels, columns, COLUMNS, in);                  \
        void *head_, *pooled_;                                                                               \
        run_tile(net, levels, 0, columns, scratch, &head_, &pooled_);                                        \
        const float *head = head_, *pooled = pooled_;                                                        \
        for (int32_t k = 0; k < levels; k++, head += outputs_of(net) * COLUMNS)                              \
            scatter_##real((real *)a->y + first * ys[0] + k * ys[1], ys[0], ys[2], net->outputs, columns,    \
                           COLUMNS, head);                                                                   \
        scatter_##real((real *)a->p + first * a->ps[0], a->ps[0], a->ps[1], net->pooled, columns, COLUMNS,   \
                       pooled);                                                                              \
    }

RUN(run_floats, float)
RUN(run_doubles, double)

#define KERNEL(size, run_columns)                                                                            \
    extern const sciml_kernel JOIN(sciml_r, size, SCIML_ISA);                                                \
    const sciml_kernel JOIN(sciml_r, size, SCIML_ISA) = {                                                    \
        .isa = TEXT(SCIML_ISA),                                                                              \
        .bits = 32,                                                                                          \
        .lanes = COLUMNS,                                                                                    \
        .block = COLUMNS,                                                                                    \
        .scratch = scratch_bytes,                                                                            \
        .input = input_place,                                                                                \
        .tile = run_tile,                                                                                    \
        .state = state_place,                                                                                \
        .run = run_columns,                                                                                  \
    }

KERNEL(32, run_floats);
KERNEL(64, run_doubles);
