/* Pack the weights of a file into the order that the kernels read. */
#include "engine/network_weights.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/packed_tensor.h"
#include "engine/reduced_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROWS 4

/* Store one packed array in both precisions. */
static int store_both(const double *values, size_t count, void **f32, void **f64, char *message,
                      size_t length) {
    float *single = sciml_aligned(count * sizeof *single);
    double *full = sciml_aligned(count * sizeof *full);
    *f32 = single;
    *f64 = full;
    if (!single || !full) return sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    for (size_t i = 0; i < count; i++) {
        single[i] = (float)values[i];
        full[i] = values[i];
    }
    return SCIML_OK;
}

static int pack_direction(const sciml_cdf *file, sciml_network *net, int layer, int direction, char *message,
                          size_t length) {
    const size_t h = (size_t)net->hidden;
    const size_t n = layer ? 2 * h : (size_t)net->channels;
    const uint32_t gates = (uint32_t)(ROWS * net->hidden);
    const char *names[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const uint32_t shapes[4][2] = {{gates, (uint32_t)n}, {gates, (uint32_t)h}, {gates}, {gates}};
    double *part[4] = {NULL, NULL, NULL, NULL};
    int status = SCIML_OK;
    for (int i = 0; i < 4 && !status; i++) {
        char name[64];
        snprintf(name, sizeof name, "lstm.%s_l%d%s", names[i], layer, direction ? "_reverse" : "");
        status = sciml_read_tensor(file, name, i < 2 ? 2 : 1, shapes[i], &part[i], message, length);
    }
    const size_t apart = ROWS * (1 + n + h);
    double *packed = status ? NULL : sciml_take(sizeof *packed * h * apart);
    if (!status && !packed) status = sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    if (!status) {
        for (size_t u = 0; u < h; u++)
            for (size_t g = 0; g < ROWS; g++) {
                const size_t row = g * h + u;
                /* sigmoid(s) = 1 / (1 + 2^(-s log2 e)), tanh(s) = (2^t - 1) / (2^t + 1) with
                 * t = 2 s log2 e: the factors of s go into the weights. */
                const double factor = (g == 2 ? 2.0 : -1.0) * 1.4426950408889634074;
                double *to = packed + u * apart + g;
                to[0] = factor * (part[2][row] + part[3][row]);
                for (size_t k = 0; k < n; k++)
                    to[ROWS * (1 + k)] = factor * part[0][row * n + k];
                for (size_t k = 0; k < h; k++)
                    to[ROWS * (1 + n + k)] = factor * part[1][row * h + k];
            }
        status = store_both(packed, h * apart, &net->f32.lstm[layer][direction],
                            &net->f64.lstm[layer][direction], message, length);
    }
    sciml_give(packed);
    for (int i = 0; i < 4; i++)
        sciml_give(part[i]);
    return status;
}

static int pack_head(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    const size_t n = 2 * (size_t)net->hidden, rows = (size_t)net->head;
    const size_t groups = (rows + ROWS - 1) / ROWS, apart = ROWS * (1 + n);
    const uint32_t shape[2] = {(uint32_t)rows, (uint32_t)n};
    double *weight = NULL, *bias = NULL, *packed = NULL;
    int status = sciml_read_tensor(file, "head.weight", 2, shape, &weight, message, length);
    if (!status) status = sciml_read_tensor(file, "head.bias", 1, shape, &bias, message, length);
    if (!status && !(packed = sciml_take_zeroed(groups * apart, sizeof *packed)))
        status = sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    for (size_t o = 0; o < rows && !status; o++) {
        double *to = packed + o / ROWS * apart + o % ROWS;
        to[0] = bias[o];
        for (size_t k = 0; k < n; k++)
            to[ROWS * (1 + k)] = weight[o * n + k];
    }
    if (!status) status = store_both(packed, groups * apart, &net->f32.head, &net->f64.head, message, length);
    sciml_give(weight);
    sciml_give(bias);
    sciml_give(packed);
    return status;
}

static int pack_pool(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    const uint32_t shape[3] = {(uint32_t)net->pooled, (uint32_t)net->pool_inputs, (uint32_t)net->pool_levels};
    const size_t n = (size_t)shape[0] * shape[1] * shape[2];
    double *weight = NULL, *bias = NULL, *packed = NULL;
    int status = sciml_read_tensor(file, "pool.weight", 3, shape, &weight, message, length);
    if (!status) status = sciml_read_tensor(file, "pool.bias", 1, shape, &bias, message, length);
    if (!status && !(packed = sciml_take((n + shape[0]) * sizeof *packed)))
        status = sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    if (!status) {
        memcpy(packed, weight, n * sizeof *packed);
        memcpy(packed + n, bias, shape[0] * sizeof *packed);
        status = store_both(packed, n + shape[0], &net->f32.pool, &net->f64.pool, message, length);
    }
    sciml_give(weight);
    sciml_give(bias);
    sciml_give(packed);
    return status;
}

static int within(const sciml_cdf *file, const char *name, int32_t low, int32_t high, int32_t *value,
                  char *message, size_t length) {
    int status = sciml_cdf_integer(file, name, value, message, length);
    if (!status && (*value < low || *value > high))
        status =
            sciml_say(SCIML_SHAPE, message, length,
                      "`%s` is %d in the weights file; this library takes %d to %d", name, *value, low, high);
    return status;
}

/* Read the storage of the weights; a file without the attribute has floats. */
static int read_format(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    static const char *const names[] = {[SCIML_WEIGHTS_FLOAT] = "float", [SCIML_WEIGHTS_REDUCED] = "reduced"};
    const cdf_attribute *a = sciml_cdf_attribute(file, "weight_format");
    if (!a) return SCIML_OK;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        if (a->type == CDF_CHAR && a->count == strlen(names[n]) &&
            memcmp(a->values, names[n], a->count) == 0) {
            net->format = (enum sciml_weight_format)n;
            return SCIML_OK;
        }
    const int shown = a->type == CDF_CHAR && a->count < 40 ? (int)a->count : 0;
    return sciml_say(SCIML_SCHEMA, message, length,
                     "this library has no kernel for the weight format `%.*s` of the weights file: build the "
                     "library with the sciml that wrote the file",
                     shown, (const char *)a->values);
}

int sciml_network_load(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    *net = (sciml_network){0};
    const struct {
        const char *name;
        int32_t low, high, *value;
    } sizes[] = {
        {"channels", 1, SCIML_MAX_WIDTH, &net->channels},
        {"layers", 1, SCIML_MAX_LAYERS, &net->layers},
        {"hidden", 1, SCIML_MAX_WIDTH, &net->hidden},
        {"outputs", 0, SCIML_MAX_WIDTH, &net->outputs},
        {"pool_inputs", 0, SCIML_MAX_WIDTH, &net->pool_inputs},
        {"pooled", 0, SCIML_MAX_WIDTH, &net->pooled},
        {"pool_levels", 0, SCIML_MAX_LEVELS, &net->pool_levels},
    };
    int status = read_format(file, net, message, length);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !status; i++)
        status = within(file, sizes[i].name, sizes[i].low, sizes[i].high, sizes[i].value, message, length);
    if (!status) net->head = net->outputs + net->pool_inputs; /* the sizes are within their bounds */
    if (!status && net->head == 0)
        status = sciml_say(SCIML_SHAPE, message, length,
                           "the network in the weights file has no "
                           "output: export it again");
    if (!status && (net->pooled > 0) != (net->pool_inputs > 0 && net->pool_levels > 0))
        status = sciml_say(SCIML_SHAPE, message, length,
                           "the weights file has %d pooled outputs of %d inputs and %d levels: all "
                           "three are zero, or none",
                           net->pooled, net->pool_inputs, net->pool_levels);
    if (!status && net->format == SCIML_WEIGHTS_REDUCED) {
        status = sciml_reduced_load(file, net, message, length);
    } else {
        for (int l = 0; l < net->layers && !status; l++)
            for (int d = 0; d < 2 && !status; d++)
                status = pack_direction(file, net, l, d, message, length);
        if (!status) status = pack_head(file, net, message, length);
    }
    if (!status && net->pooled) status = pack_pool(file, net, message, length);
    if (status) sciml_network_free(net);
    return status;
}

static void free_packed(sciml_packed *p) {
    for (int l = 0; l < SCIML_MAX_LAYERS; l++)
        for (int d = 0; d < 2; d++)
            sciml_give(p->lstm[l][d]);
    sciml_give(p->head);
    sciml_give(p->pool);
}

void sciml_network_free(sciml_network *net) {
    free_packed(&net->f32);
    free_packed(&net->f64);
    sciml_reduced_free(net->reduced);
    *net = (sciml_network){0};
}
