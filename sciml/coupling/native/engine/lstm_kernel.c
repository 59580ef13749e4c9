/* Kernel that runs the network on one tile of columns.
 *
 * Compiled once per instruction set and precision (SCIML_ISA, SCIML_BITS). A tile is up to three
 * vectors of columns wide, column = lane. The micro-kernel holds the four gates of one hidden unit
 * for the whole tile in registers (4 x 3 accumulators: with 3 loads and a broadcast that is all 16
 * registers of AVX2) and reads once the unit's inputs and hidden state. The sums of a few
 * units stay in the innermost cache until the activations take them. Hoisting the input part of all levels
 * into one product per layer, as is usual, would write them to memory and read them back.
 * Lanes beyond the last column are padding: computed like the others, never read. */
#include "engine/lstm_kernel.h"
#include "engine/lane_order.h"
#include "engine/vectors.h"

#include <string.h>

#define VECTORS 3 /* vectors in a full tile */
#define ROWS 4    /* gates of a unit; outputs of a group in the head */
#define BATCH 8   /* units whose sums wait for the activations together */

#define JOIN_(a, b, c) a##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

/* acc += weights (n, ROWS) times x (n, nv vectors), for nu units whose weights lie `apart`. */
INLINE void accumulate(int nu, int nv, vreal acc[][ROWS][VECTORS], const real *w, size_t apart, const real *x,
                       int n) {
#pragma GCC unroll 8
    for (int k = 0; k < n; k++) {
        vreal in[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            in[v] = load(x + (k * nv + v) * LANES);
#pragma GCC unroll 2
        for (int u = 0; u < nu; u++)
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) {
                const vreal weight = splat(w[(size_t)u * apart + (size_t)(k * ROWS + r)]);
#pragma GCC unroll 3
                for (int v = 0; v < nv; v++)
                    acc[u][r][v] = FMA(weight, in[v], acc[u][r][v]);
            }
    }
}

INLINE void biases(int nu, int nv, vreal acc[][ROWS][VECTORS], const real *w, size_t apart) {
#pragma GCC unroll 2
    for (int u = 0; u < nu; u++)
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                acc[u][r][v] = splat(w[(size_t)u * apart + (size_t)r]);
}

INLINE void store_sums(int nu, int nv, real *to, vreal acc[][ROWS][VECTORS]) {
#pragma GCC unroll 2
    for (int u = 0; u < nu; u++)
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++)
                store(to + ((u * ROWS + r) * nv + v) * LANES, acc[u][r][v]);
}

/* The inputs of a layer: the last `constant` of them have the same values at all levels, those of level 0. */
typedef struct inputs_of {
    int all, constant;
} inputs_of;

/* The sums of the gates of nu units from unit u on, one level: gates (unit, ROWS, width). `base`: the sums of
 * biases and constant inputs, or NULL if there are no constant inputs. */
INLINE void units(int nu, int nv, const real *w, inputs_of inputs, int hidden, const real *x,
                  const real *before, const real *base, real *gates) {
    const size_t apart = (size_t)ROWS * (size_t)(1 + inputs.all + hidden);
    vreal acc[2][ROWS][VECTORS];
    if (base) {
#pragma GCC unroll 2
        for (int u = 0; u < nu; u++)
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 3
                for (int v = 0; v < nv; v++)
                    acc[u][r][v] = load(base + ((u * ROWS + r) * nv + v) * LANES);
    } else {
        biases(nu, nv, acc, w, apart);
    }
    accumulate(nu, nv, acc, w + ROWS, apart, x, inputs.all - inputs.constant);
    if (before) accumulate(nu, nv, acc, w + ROWS * (1 + inputs.all), apart, before, hidden);
    store_sums(nu, nv, gates, acc);
}

/* The sums of the biases and the constant inputs of all units: base (unit, ROWS, width). */
INLINE void start_sums(int nv, const real *w, inputs_of inputs, int hidden, const real *x, real *base) {
    const int varying = inputs.all - inputs.constant, width = nv * LANES;
    for (int u = 0; u < hidden; u++, w += ROWS * (1 + inputs.all + hidden), base += ROWS * width) {
        vreal acc[1][ROWS][VECTORS];
        biases(1, nv, acc, w, 0);
        accumulate(1, nv, acc, w + ROWS * (1 + varying), 0, x + varying * width, inputs.constant);
        store_sums(1, nv, base, acc);
    }
}

/* From the sums of the gates of a batch of units to their cells and hidden state.
 *
 * The packed weights carry the factors that make a sum s the exponent of a power of two: a sigmoid
 * is 1 / (1 + 2^s), a tangent (2^s - 1) / ((2^s - 1) + 2); see pack_direction. Sigmoids and
 * tangents of one sum share a division. Two passes over the units, so that each holds one short
 * chain of dependent operations and the processor overlaps neighbours. */
INLINE void activate(int nv, int hidden, real *gates, real *cell, real *after) {
    const vreal two = splat(R(2.0));
    const int width = nv * LANES;
    for (int u = 0; u < hidden; u++) {
        real *gate = gates + u * ROWS * width;
        vreal in_forget[2 * VECTORS], fresh[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            in_forget[v] = sigmoid_range(load(gate + v * LANES));
            in_forget[nv + v] = sigmoid_range(load(gate + width + v * LANES));
            fresh[v] = tanh_range(load(gate + 2 * width + v * LANES));
        }
        power_and_one(2 * nv, in_forget);
        power_less_one(nv, fresh);
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            real *c = cell + u * width + v * LANES;
            const vreal forget = in_forget[nv + v], write = in_forget[v] * (two + fresh[v]);
#if SCIML_BITS == 32
            store(c, FMA(load(c), write, fresh[v] * forget) / (write * forget));
#else
            store(c, load(c) / forget + fresh[v] / write);
#endif
        }
    }
    for (int u = 0; u < hidden; u++) {
        const real *open = gates + (u * ROWS + 3) * width;
        vreal t[VECTORS], o[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            o[v] = sigmoid_range(load(open + v * LANES));
        power_and_one(nv, o);
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            t[v] = tanh_range(load(cell + u * width + v * LANES) * (2 * LOG2_E));
        power_less_one(nv, t);
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++)
            store(after + u * width + v * LANES, t[v] / (o[v] * (two + t[v])));
    }
}

/* The parts of the scratch, each a whole number of vectors. */
typedef struct parts {
    real *ping, *pong, *cell, *gates, *base, *head, *pooled;
} parts;

/* One direction of one layer: in (level, inputs, width) -> its half of out (level, 2 hidden, width). */
INLINE void sweep(int nv, const real *weights, inputs_of inputs, int hidden, int levels, int backward,
                  const real *in, real *out, const parts *p) {
    const size_t width = (size_t)nv * (size_t)LANES;
    const size_t apart = (size_t)ROWS * (size_t)(1 + inputs.all + hidden);
    const real *before = NULL;
    real *cell = p->cell, *gates = p->gates, *base = inputs.constant ? p->base : NULL;
    if (base) start_sums(nv, weights, inputs, hidden, in, base);
    memset(cell, 0, sizeof(real) * width * (size_t)hidden);
    for (int s = 0; s < levels; s++) {
        const size_t level = (size_t)(backward ? levels - 1 - s : s);
        const real *x = in + level * (size_t)inputs.all * width;
        real *after = out + (level * 2 + (size_t)backward) * (size_t)hidden * width;
        for (int first = 0; first < hidden; first += BATCH) {
            const int last = first + BATCH < hidden ? first + BATCH : hidden;
            int u = first;
            /* AVX-512 and a single vector have registers for two units, which read their inputs once. */
            if (nv == 1 || VECTOR_BYTES == 64)
                for (; u + 2 <= last; u += 2)
                    units(2, nv, weights + (size_t)u * apart, inputs, hidden, x, before,
                          base ? base + (size_t)u * ROWS * width : NULL,
                          gates + (size_t)(u - first) * ROWS * width);
            for (; u < last; u++)
                units(1, nv, weights + (size_t)u * apart, inputs, hidden, x, before,
                      base ? base + (size_t)u * ROWS * width : NULL,
                      gates + (size_t)(u - first) * ROWS * width);
            activate(nv, last - first, gates, cell + (size_t)first * width, after + (size_t)first * width);
        }
        before = after;
    }
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static size_t divide(const sciml_network *net, int levels, real *base, parts *p) {
    const size_t width = VECTORS * (size_t)LANES, n = (size_t)levels;
    const size_t both = 2 * (size_t)net->hidden;
    const size_t wide = both > (size_t)net->channels ? both : (size_t)net->channels;
    const size_t rows[7] = {n * wide,
                            n * both,
                            (size_t)net->hidden,
                            ROWS * BATCH,
                            ROWS * (size_t)net->hidden,
                            n * round_up((size_t)net->head, ROWS),
                            (size_t)net->pooled};
    real **where[7] = {&p->ping, &p->pong, &p->cell, &p->gates, &p->base, &p->head, &p->pooled};
    size_t used = 0;
    for (int i = 0; i < 7; i++) {
        if (base) *where[i] = base + used * width;
        used += rows[i];
    }
    return used * width * sizeof(real);
}

static size_t scratch_bytes(const sciml_network *net, int32_t levels) {
    parts unused;
    return divide(net, levels, NULL, &unused);
}

static void *input_place(const sciml_network *net, int32_t levels, void *scratch) {
    parts p;
    divide(net, levels, scratch, &p);
    return p.ping;
}

static void *state_place(const sciml_network *net, int32_t levels, void *scratch) {
    parts p;
    divide(net, levels, scratch, &p);
    return net->layers % 2 ? p.pong : p.ping;
}

INLINE void heads(int nv, const sciml_network *net, const sciml_packed *packed, int levels, const real *in,
                  const parts *p) {
    const size_t width = (size_t)nv * (size_t)LANES;
    const int both = 2 * net->hidden, groups = (net->head + ROWS - 1) / ROWS;
    for (int k = 0; k < levels; k++)
        for (int g = 0; g < groups; g++) {
            const real *w = (const real *)packed->head + (size_t)g * ROWS * (size_t)(1 + both);
            vreal acc[1][ROWS][VECTORS];
            biases(1, nv, acc, w, 0);
            accumulate(1, nv, acc, w + ROWS, 0, in + (size_t)k * (size_t)both * width, both);
            real *to = p->head + (size_t)(k * groups + g) * ROWS * width;
            for (int r = 0; r < ROWS; r++)
                for (int v = 0; v < nv; v++)
                    store(to + (r * nv + v) * LANES, acc[0][r][v]);
        }
    if (!packed->pool) return;
    const real *w = packed->pool;
    const real *bias = w + (size_t)net->pooled * (size_t)net->pool_inputs * (size_t)levels;
    for (int o = 0; o < net->pooled; o++)
        for (int v = 0; v < nv; v++) {
            vreal sum = splat(bias[o]);
            for (int c = 0; c < net->pool_inputs; c++)
                for (int k = 0; k < levels; k++) {
                    const size_t row = (size_t)(k * groups) * ROWS + (size_t)(net->outputs + c);
                    const real a =
                        w[((size_t)o * (size_t)net->pool_inputs + (size_t)c) * (size_t)levels + (size_t)k];
                    sum = FMA(splat(a), load(p->head + row * width + (size_t)(v * LANES)), sum);
                }
            store(p->pooled + (size_t)o * width + (size_t)(v * LANES), sum);
        }
}

INLINE void network(int nv, const sciml_network *net, const sciml_packed *packed, int levels, int constant,
                    const parts *p) {
    real *in = p->ping, *out = p->pong;
    inputs_of inputs = {net->channels, constant};
    for (int l = 0; l < net->layers; l++) {
        for (int d = 0; d < 2; d++)
            sweep(nv, packed->lstm[l][d], inputs, net->hidden, levels, d, in, out, p);
        inputs = (inputs_of){2 * net->hidden, 0};
        real *swap = in;
        in = out;
        out = swap;
    }
    heads(nv, net, packed, levels, in, p);
}

static void run_tile(const sciml_network *net, int32_t levels, int32_t constant, int32_t columns,
                     void *scratch, void **head, void **pooled) {
    const sciml_packed *packed = SCIML_BITS == 32 ? &net->f32 : &net->f64;
    parts p;
    divide(net, levels, scratch, &p);
    switch ((columns + LANES - 1) / LANES) {
    case 1:
        network(1, net, packed, levels, constant, &p);
        break;
    case 2:
        network(2, net, packed, levels, constant, &p);
        break;
    default:
        network(3, net, packed, levels, constant, &p);
    }
    *head = p.head;
    *pooled = p.pooled;
}

SCIML_LANE_ORDER(gather, scatter, real, real)

static void run_columns(const sciml_network *net, int32_t levels, int32_t columns, int64_t first,
                        const sciml_arrays *a, void *scratch) {
    const int width = (columns + LANES - 1) / LANES * LANES;
    const ptrdiff_t *xs = a->xs, *ys = a->ys;
    real *in = input_place(net, levels, scratch);
    for (int k = 0; k < levels; k++, in += net->channels * width)
        gather((const real *)a->x + first * xs[0] + k * xs[1], xs[0], xs[2], k + 1 < levels ? xs[1] : 0,
               net->channels, columns, width, in);
    void *head_, *pooled_;
    run_tile(net, levels, 0, columns, scratch, &head_, &pooled_);
    const real *head = head_, *pooled = pooled_;
    const int stored = (net->head + ROWS - 1) / ROWS * ROWS;
    for (int k = 0; k < levels; k++)
        scatter((real *)a->y + first * ys[0] + k * ys[1], ys[0], ys[2], net->outputs, columns, width,
                head + (size_t)k * (size_t)stored * (size_t)width);
    scatter((real *)a->p + first * a->ps[0], a->ps[0], a->ps[1], net->pooled, columns, width, pooled);
}

extern const sciml_kernel JOIN(sciml_f, SCIML_BITS, SCIML_ISA);
const sciml_kernel JOIN(sciml_f, SCIML_BITS, SCIML_ISA) = {
    .isa = TEXT(SCIML_ISA),
    .bits = SCIML_BITS,
    .lanes = LANES,
    .block = VECTORS * LANES,
    .scratch = scratch_bytes,
    .input = input_place,
    .tile = run_tile,
    .state = state_place,
    .run = run_columns,
};
