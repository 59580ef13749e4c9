/* Convert the matrices of a weights file into the codes of their kinds: sciml/compress/arithmetic.py. */
#include "engine/reduced_weights.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/packed_tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GATES 4

static const char *const kind_names[SCIML_MATRIX_KINDS] = {
    [SCIML_BF16] = "bf16", [SCIML_INT8] = "int8", [SCIML_INT4] = "int4", [SCIML_SIGN] = "sign"};
static const size_t row_bytes[SCIML_MATRIX_KINDS] = {
    [SCIML_BF16] = 64, [SCIML_INT8] = 64, [SCIML_INT4] = 32, [SCIML_SIGN] = 8};

static uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* The bits of the nearest bfloat16, ties to even; 0 for magnitudes below 2^-50, so that no sum of products is
 * below the normal numbers. */
static uint16_t bfloat16_of(float x, int small) {
    const uint32_t u = bits_of(x);
    if (small && fabsf(x) < 0x1p-50f) return 0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The shift of a block of codes of at most 2^power - 1, from its largest magnitude. */
static int shift_of(float largest, int power) {
    int exponent;
    if (largest == 0) return 0;
    const float fraction = 2 * frexpf(largest, &exponent);
    const int fits = fraction <= (float)((1 << power) - 1) / (float)(1 << (power - 1));
    const int shift = (fits ? power - 1 : power - 2) - (exponent - 1);
    return shift < SCIML_MOST_SHIFT ? shift : SCIML_MOST_SHIFT;
}

/* Where row `row` of a matrix goes; four units of four gates make a group of the LSTM. */
typedef struct source {
    const double *values;
    int gates; /* the matrix has the rows (gate, unit) */
} source;

static size_t row_in(const sciml_matrix *m, int gates, size_t row) {
    const size_t units = (size_t)m->rows / GATES;
    return gates ? row % units * GATES + row / units : row;
}

static float factor_of(const sciml_matrix *m, int gates, size_t row) {
    const size_t units = (size_t)m->rows / GATES;
    return !gates ? 1.0f : row / units == 2 ? 2 * SCIML_GATE_SCALE : SCIML_GATE_SCALE;
}

static void put_code(uint8_t *row, enum sciml_matrix_kind kind, int32_t at, int code) {
    if (kind == SCIML_INT8)
        row[at] = (uint8_t)code;
    else if (kind == SCIML_INT4)
        row[at % 32] |= (uint8_t)((code & 15) << (at / 32 * 4));
    else if (code > 0)
        row[at / 8] |= (uint8_t)(1 << at % 8);
}

/* The codes of one block of a row. */
static void put_block(sciml_matrix *m, const double *from, int32_t n, float sign_scale, uint8_t *tile,
                      size_t row, float *scale, int32_t *negative) {
    const int power = m->kind == SCIML_INT8 ? 7 : 3;
    float largest = 0;
    for (int32_t k = 0; k < n; k++)
        largest = fmaxf(largest, fabsf((float)from[k]));
    const int shift = m->kind == SCIML_SIGN ? 0 : shift_of(largest, power);
    int32_t sum = 0;
    for (int32_t k = 0; k < n; k++) {
        const int code =
            m->kind == SCIML_SIGN ? (from[k] >= 0 ? 1 : -1) : (int)rint(ldexp((double)(float)from[k], shift));
        put_code(tile + ((size_t)(k / SCIML_TILE_BYTES) * SCIML_ROWS + row) * row_bytes[m->kind], m->kind,
                 k % SCIML_TILE_BYTES, code);
        sum += code;
    }
    *scale = m->kind == SCIML_SIGN ? sign_scale : ldexpf(1.0f, -shift);
    *negative = -128 * sum;
}

static void put_bfloat16(const double *from, int32_t n, uint8_t *tile, size_t row) {
    for (int32_t k = 0; k < n; k++) {
        const uint16_t bits = bfloat16_of((float)from[k], 1);
        memcpy(tile + ((size_t)(k / 32) * SCIML_ROWS + row) * SCIML_TILE_BYTES + 2 * (k % 32), &bits,
               sizeof bits);
    }
}

/* Convert a matrix of a kind, whose sizes are set, into its codes. */
static int convert(sciml_matrix *m, const sciml_reduced *r, source from, char *message, size_t length) {
    const int32_t columns = m->columns;
    m->groups = (m->rows + SCIML_ROWS - 1) / SCIML_ROWS;
    m->block = m->kind == SCIML_BF16 || r->block > columns ? columns : r->block;
    m->blocks = (columns + m->block - 1) / m->block;
    const int32_t apart = m->kind == SCIML_BF16 ? (columns + 31) / 32 : sciml_tiles_of(m->block);
    m->tiles = m->kind == SCIML_BF16
                   ? apart
                   : (m->blocks - 1) * apart + sciml_tiles_of(columns - (m->blocks - 1) * m->block);
    const size_t tile = SCIML_ROWS * row_bytes[m->kind], group = tile * (size_t)m->tiles;
    const size_t numbers = (size_t)m->groups * (size_t)m->blocks * SCIML_ROWS;
    m->codes = sciml_aligned((size_t)m->groups * group);
    m->scale = sciml_aligned(numbers * sizeof *m->scale);
    m->negative = sciml_aligned(numbers * sizeof *m->negative);
    if (!m->codes || !m->scale || !m->negative)
        return sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    memset(m->codes, 0, (size_t)m->groups * group);
    memset(m->scale, 0, numbers * sizeof *m->scale);
    memset(m->negative, 0, numbers * sizeof *m->negative);
    for (size_t row = 0; row < (size_t)m->rows; row++) {
        const size_t to = row_in(m, from.gates, row), g = to / SCIML_ROWS, within = to % SCIML_ROWS;
        const double *values = from.values + row * (size_t)columns;
        const float factor = factor_of(m, from.gates, row);
        double sum = 0;
        float mean = 0;
        for (int32_t k = 0; k < columns; k++)
            sum += fabs((double)(float)values[k]);
        m->bound = fmax(m->bound, sum);
        if (m->kind == SCIML_BF16) {
            put_bfloat16(values, columns, m->codes + g * group, within);
            continue;
        }
        if (m->kind == SCIML_SIGN) {
            const uint32_t bits = (uint32_t)bfloat16_of((float)(sum / columns), 0) << 16;
            memcpy(&mean, &bits, sizeof mean);
        }
        for (int32_t j = 0; j < m->blocks; j++) {
            const int32_t first = j * m->block, left = columns - first;
            const size_t at = (g * (size_t)m->blocks + (size_t)j) * SCIML_ROWS + within;
            put_block(m, values + first, left < m->block ? left : m->block, mean,
                      m->codes + g * group + (size_t)(j * apart) * tile, within, &m->scale[at],
                      &m->negative[at]);
            m->scale[at] *= factor;
        }
    }
    return SCIML_OK;
}

static int load_matrix(const sciml_cdf *file, const char *name, sciml_matrix *m, const sciml_reduced *r,
                       int gates, char *message, size_t length) {
    const uint32_t shape[2] = {(uint32_t)m->rows, (uint32_t)m->columns};
    double *values;
    int status = sciml_read_tensor(file, name, 2, shape, &values, message, length);
    const size_t count = (size_t)m->rows * (size_t)m->columns;
    for (size_t i = 0; !status && i < count; i++)
        if (fabs(values[i]) >= SCIML_MOST_WEIGHT)
            status = sciml_say(SCIML_SHAPE, message, length,
                               "`%s` has the weight %g in the weights file, and integers and bfloat16 take "
                               "magnitudes below 2^24: train it again, or export it in floats",
                               name, values[i]);
    if (!status) status = convert(m, r, (source){values, gates}, message, length);
    sciml_give(values);
    return status;
}

/* The sum of one or two vectors of biases, in the order of the rows of `m`. */
static int load_bias(const sciml_cdf *file, const char *const *names, int count, const sciml_matrix *m,
                     int gates, float **bias, char *message, size_t length) {
    const uint32_t shape[1] = {(uint32_t)m->rows};
    double *values[2] = {NULL, NULL};
    int status = SCIML_OK;
    for (int n = 0; n < count && !status; n++)
        status = sciml_read_tensor(file, names[n], 1, shape, &values[n], message, length);
    const size_t numbers = (size_t)m->groups * SCIML_ROWS;
    if (!status && !(*bias = sciml_aligned(numbers * sizeof **bias)))
        status = sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    if (!status) {
        memset(*bias, 0, numbers * sizeof **bias);
        for (size_t row = 0; row < (size_t)m->rows; row++) {
            float sum = (float)values[0][row];
            if (count == 2) sum += (float)values[1][row];
            (*bias)[row_in(m, gates, row)] = sum * factor_of(m, gates, row);
        }
    }
    sciml_give(values[0]);
    sciml_give(values[1]);
    return status;
}

/* Read the kinds of the matrices: words separated by spaces, by layer forward and reverse input and own, then
 * the head. */
static int read_kinds(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    sciml_reduced *r = net->reduced;
    const cdf_attribute *a = sciml_cdf_attribute(file, "arithmetic");
    const int wanted = 4 * net->layers + 1;
    int count = 0;
    if (!a || a->type != CDF_CHAR)
        return sciml_say(
            SCIML_SCHEMA, message, length,
            "the weights file has no text `arithmetic`, the kinds of its matrices: export it again");
    for (uint32_t at = 0; at < a->count;) {
        uint32_t end = at;
        while (end < a->count && a->values[end] != ' ')
            end++;
        int kind = 0;
        while (kind < SCIML_MATRIX_KINDS && (strlen(kind_names[kind]) != end - at ||
                                             memcmp(a->values + at, kind_names[kind], end - at) != 0))
            kind++;
        if (kind == SCIML_MATRIX_KINDS)
            return sciml_say(
                SCIML_SCHEMA, message, length,
                "this library has no kernel for the kind `%.*s` in `arithmetic` of the weights "
                "file; it has bf16, int8, int4 and sign: export it with those, or build the library "
                "with the sciml that wrote the file",
                end - at < 40 ? (int)(end - at) : 40, (const char *)a->values + at);
        if (count < wanted - 1) {
            sciml_reduced_direction *d = &r->lstm[count / 4][count / 2 % 2];
            (count % 2 ? &d->own : &d->input)->kind = (enum sciml_matrix_kind)kind;
        } else {
            r->head.kind = (enum sciml_matrix_kind)kind;
        }
        at = end + (end < a->count);
        if (++count > wanted) break;
    }
    if (count != wanted)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "`arithmetic` in the weights file does not have %d kinds, which %d layers need: export "
            "it again",
            wanted, net->layers);
    return SCIML_OK;
}

static int read_number(const sciml_cdf *file, const char *name, int32_t most, int32_t *value, char *message,
                       size_t length) {
    const int status = sciml_cdf_integer(file, name, value, message, length);
    if (!status && (*value < 1 || *value > most))
        return sciml_say(
            SCIML_SHAPE, message, length,
            "`%s` is %d in the weights file; this library takes 1 to %d: export it again with one of "
            "those",
            name, *value, most);
    return status;
}

static int load_direction(const sciml_cdf *file, sciml_network *net, int layer, int direction, char *message,
                          size_t length) {
    sciml_reduced_direction *d = &net->reduced->lstm[layer][direction];
    static const char *const parts[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    char names[4][64];
    for (int i = 0; i < 4; i++)
        snprintf(names[i], sizeof names[i], "lstm.%s_l%d%s", parts[i], layer, direction ? "_reverse" : "");
    d->input.rows = d->own.rows = GATES * net->hidden;
    d->input.columns = layer ? 2 * net->hidden : net->channels;
    d->own.columns = net->hidden;
    int status = load_matrix(file, names[0], &d->input, net->reduced, 1, message, length);
    if (!status) status = load_matrix(file, names[1], &d->own, net->reduced, 1, message, length);
    const char *const biases[2] = {names[2], names[3]};
    if (!status) status = load_bias(file, biases, 2, &d->own, 1, &d->bias, message, length);
    if (status) return status;
    double bias = 0;
    for (int32_t row = 0; row < d->own.rows; row++)
        bias = fmax(bias, fabs((double)d->bias[row]));
    /* states are below 1 in magnitude, and codes below twice the numbers that they stand for */
    const double each = 4 * (double)SCIML_GATE_SCALE, left = (double)(1 << 30) - bias - each * d->own.bound;
    d->most = left > 0 ? left / fmax(each * d->input.bound, 1.0) : 0;
    return SCIML_OK;
}

int sciml_reduced_load(const sciml_cdf *file, sciml_network *net, char *message, size_t length) {
    sciml_reduced *r = net->reduced = sciml_take_zeroed(1, sizeof *r);
    static const char *const head_bias[1] = {"head.bias"};
    if (!r) return sciml_say(SCIML_MEMORY, message, length, "no memory for the weights");
    int status = read_kinds(file, net, message, length);
    if (!status) status = read_number(file, "arithmetic_block", SCIML_MOST_BLOCK, &r->block, message, length);
    if (!status) status = read_number(file, "input_planes", 2, &r->planes, message, length);
    for (int l = 0; l < net->layers && !status; l++)
        for (int d = 0; d < 2 && !status; d++)
            status = load_direction(file, net, l, d, message, length);
    if (status) return status;
    r->head.rows = net->head;
    r->head.columns = 2 * net->hidden;
    status = load_matrix(file, "head.weight", &r->head, r, 0, message, length);
    return status ? status : load_bias(file, head_bias, 1, &r->head, 0, &r->head_bias, message, length);
}

static void free_matrix(sciml_matrix *m) {
    sciml_give(m->codes);
    sciml_give(m->scale);
    sciml_give(m->negative);
}

void sciml_reduced_free(sciml_reduced *r) {
    if (!r) return;
    for (int l = 0; l < SCIML_MAX_LAYERS; l++)
        for (int d = 0; d < 2; d++) {
            free_matrix(&r->lstm[l][d].input);
            free_matrix(&r->lstm[l][d].own);
            sciml_give(r->lstm[l][d].bias);
        }
    free_matrix(&r->head);
    sciml_give(r->head_bias);
    sciml_give(r);
}
