/* The layouts are those of sciml/compress/blobs.py. A tensor of shape (..., K) is a matrix of R rows and K
 * columns, and all numbers are little-endian. No length of the file is trusted: each is compared with the
 * remaining bytes before it is used. */
#include "engine/packed_tensor.h"
#include "engine/arena.h"
#include "engine/message.h"

#include <math.h>
#include <string.h>

enum layout { BLOCK_SHIFT = 1, SIGN, HYPERCOMPLEX, MX };

/* Signs of 8 numbers in a byte; n of a hypercomplex tensor is below 256. */
#define MOST_IN_A_BYTE 256

/* A position in the bytes of a tensor. */
typedef struct cursor {
    const uint8_t *at;
    uint64_t left, wanted; /* wanted: bytes in all, with those that are missing */
} cursor;

static const uint8_t *take(cursor *c, uint64_t bytes) {
    c->wanted += bytes;
    if (bytes > c->left) {
        c->left = 0;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += bytes;
    c->left -= bytes;
    return p;
}

static uint32_t little16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static float bfloat16(uint32_t bits) {
    const uint32_t u = bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Integer i of `bits` bits, two's complement. */
static int code_at(const uint8_t *codes, int bits, uint64_t i) {
    if (bits == 16) return (int16_t)little16(codes + 2 * i);
    if (bits == 8) return (int8_t)codes[i];
    const int nibble = codes[i / 2] >> (i % 2 ? 4 : 0) & 15;
    return nibble < 8 ? nibble : nibble - 16;
}

/* What is wrong with a blob: a status of the functions below. */
enum fault { NONE, HEADER, SHORT, NO_MEMORY };

static enum fault block_shift(cursor *c, uint64_t rows, uint64_t columns, double *values) {
    const uint8_t *header = take(c, 6);
    if (!header) return SHORT;
    const int bits = header[1], base = (int8_t)header[4], width = header[5];
    const uint64_t block = little16(header + 2);
    if (header[0] != BLOCK_SHIFT || (bits != 4 && bits != 8 && bits != 16) || (width != 4 && width != 8) ||
        block == 0)
        return HEADER;
    const uint64_t blocks = (columns + block - 1) / block;
    const uint8_t *shifts = take(c, (rows * blocks * (uint64_t)width + 7) / 8);
    const uint8_t *codes = take(c, (rows * columns * (uint64_t)bits + 7) / 8);
    if (!shifts || !codes) return SHORT;
    for (uint64_t r = 0, i = 0; r < rows; r++)
        for (uint64_t k = 0; k < columns; k++, i++) {
            const uint64_t j = r * blocks + k / block;
            const int above = width == 8 ? shifts[j] : code_at(shifts, 4, j) & 15;
            values[i] = (float)ldexp(code_at(codes, bits, i), -(base + above));
        }
    return NONE;
}

static enum fault signs(cursor *c, uint64_t rows, uint64_t columns, double *values) {
    const uint8_t *header = take(c, 2), *scales = take(c, 2 * rows);
    const uint8_t *bits = take(c, (rows * columns + 7) / 8);
    if (!header || !scales || !bits) return SHORT;
    for (uint64_t r = 0, i = 0; r < rows; r++) {
        const float scale = bfloat16(little16(scales + 2 * r));
        for (uint64_t k = 0; k < columns; k++, i++)
            values[i] = bits[i / 8] >> i % 8 & 1 ? scale : -scale;
    }
    return NONE;
}

static enum fault hypercomplex(cursor *c, uint64_t rows, uint64_t columns, double *values) {
    const uint8_t *header = take(c, 2);
    if (!header) return SHORT;
    const uint64_t n = header[1];
    if (n == 0 || rows % n) return HEADER;
    const uint64_t high = rows / n, wide = (columns + n - 1) / n; /* the last columns may be missing */
    double *a = sciml_take(sizeof *a * n * n * n), *f = sciml_take(sizeof *f * n * high * wide);
    enum fault fault = a && f ? block_shift(c, n * n, n, a) : NO_MEMORY;
    if (!fault) fault = block_shift(c, n, high * wide, f);
    for (uint64_t r = 0; r < rows && !fault; r++)
        for (uint64_t k = 0; k < columns; k++) {
            const uint64_t p = r / high, q = k / wide, at = r % high * wide + k % wide;
            float sum = (float)a[p * n + q] * (float)f[at];
            for (uint64_t i = 1; i < n; i++) {
                const float product = (float)a[(i * n + p) * n + q] * (float)f[i * high * wide + at];
                sum = sum + product;
            }
            values[r * columns + k] = sum;
        }
    sciml_give(a);
    sciml_give(f);
    return fault;
}

static enum fault mx(cursor *c, uint64_t rows, uint64_t columns, double *values) {
    const uint8_t *header = take(c, 4);
    if (!header) return SHORT;
    const int bits = header[1];
    const uint64_t block = little16(header + 2);
    if ((bits != 4 && bits != 8) || block == 0) return HEADER;
    const uint64_t blocks = (columns + block - 1) / block;
    const uint8_t *exponents = take(c, rows * blocks);
    const uint8_t *codes = take(c, (rows * columns * (uint64_t)bits + 7) / 8);
    if (!exponents || !codes) return SHORT;
    for (uint64_t r = 0, i = 0; r < rows; r++)
        for (uint64_t k = 0; k < columns; k++, i++)
            values[i] = (float)ldexp(code_at(codes, bits, i), exponents[r * blocks + k / block] - 125 - bits);
    return NONE;
}

static int unpack(const cdf_variable *v, const char *name, uint64_t rows, uint64_t columns, double *values,
                  char *message, size_t length) {
    cursor c = {v->values, v->count, 0};
    enum fault fault = NONE;
    switch (v->values[0]) {
    case BLOCK_SHIFT:
        fault = block_shift(&c, rows, columns, values);
        break;
    case SIGN:
        fault = signs(&c, rows, columns, values);
        break;
    case HYPERCOMPLEX:
        fault = hypercomplex(&c, rows, columns, values);
        break;
    case MX:
        fault = mx(&c, rows, columns, values);
        break;
    default:
        return sciml_say(
            SCIML_SCHEMA, message, length,
            "`%s` in the weights file is packed with layout %d; this library reads 1 to %d: build "
            "the library with the sciml that wrote the file",
            name, v->values[0], MX);
    }
    if (fault == NO_MEMORY) return sciml_say(SCIML_MEMORY, message, length, "no memory for `%s`", name);
    if (fault == HEADER)
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the packed tensor `%s` in the weights file begins with the bytes %d, %d, which no "
                         "layout of this library has for %llu x %llu numbers: export it again",
                         name, v->values[0], v->count > 1 ? v->values[1] : 0, (unsigned long long)rows,
                         (unsigned long long)columns);
    if (fault == SHORT || c.left)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "the packed tensor `%s` in the weights file has %llu bytes; %llu x %llu numbers need "
            "%s%llu: export it again",
            name, (unsigned long long)v->count, (unsigned long long)rows, (unsigned long long)columns,
            fault == SHORT ? "at least " : "", (unsigned long long)c.wanted);
    return SCIML_OK;
}

static void read_numbers(const cdf_variable *v, uint64_t count, double *values) {
    for (uint64_t i = 0; i < count; i++)
        if (v->type == CDF_SHORT)
            values[i] = bfloat16((uint32_t)v->values[2 * i] << 8 | v->values[2 * i + 1]);
        else
            values[i] = v->type == CDF_FLOAT ? (double)sciml_cdf_float(v->values + 4 * i)
                                             : sciml_cdf_double(v->values + 8 * i);
}

/* Compare the size of a variable with the one that is needed, before memory is taken for it. */
static int check_size(const cdf_variable *v, const char *name, uint32_t rank, const uint32_t *shape,
                      uint64_t count, char *message, size_t length) {
    /* bfloat16 has a number added to an odd count: a file has undefined bytes after an odd count of shorts */
    if (v->type == CDF_SHORT && v->count != count + count % 2)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "`%s` in the weights file has %llu numbers of 16 bits and needs %llu: export it again", name,
            (unsigned long long)v->count, (unsigned long long)(count + count % 2));
    if (v->type == CDF_BYTE && count > MOST_IN_A_BYTE * v->count)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "the packed tensor `%s` in the weights file has %llu bytes, too few for %llu numbers: "
            "export it again",
            name, (unsigned long long)v->count, (unsigned long long)count);
    for (uint32_t r = 0; r < rank && (v->type == CDF_FLOAT || v->type == CDF_DOUBLE); r++)
        if (v->rank != rank || v->shape[r] != shape[r])
            return sciml_say(SCIML_SHAPE, message, length,
                             "`%s` in the weights file does not have the shape that its network "
                             "needs (dimension %u: %u instead of %u): export it again",
                             name, r, v->rank > r ? v->shape[r] : 0, shape[r]);
    return SCIML_OK;
}

int sciml_read_tensor(const sciml_cdf *file, const char *name, uint32_t rank, const uint32_t *shape,
                      double **values, char *message, size_t length) {
    const cdf_variable *v = sciml_cdf_variable(file, name);
    uint64_t count = 1;
    *values = NULL;
    for (uint32_t r = 0; r < rank; r++)
        count *= shape[r];
    if (!v)
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no variable `%s`: export it again", name);
    if (v->type != CDF_FLOAT && v->type != CDF_DOUBLE && v->type != CDF_BYTE && v->type != CDF_SHORT)
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` in the weights file is neither float nor double nor packed: export it again",
                         name);
    int status = check_size(v, name, rank, shape, count, message, length);
    if (status) return status;
    double *d = sciml_take(sizeof *d * (size_t)count);
    if (!d) return sciml_say(SCIML_MEMORY, message, length, "no memory for `%s`", name);
    if (v->type == CDF_BYTE) {
        const uint64_t columns = rank ? shape[rank - 1] : 1;
        status = unpack(v, name, count / columns, columns, d, message, length);
    } else {
        read_numbers(v, count, d);
    }
    for (uint64_t i = 0; i < count && !status; i++)
        if (!isfinite(d[i]))
            status = sciml_say(SCIML_SHAPE, message, length,
                               "`%s` in the weights file has a value that is not finite: train again", name);
    if (status)
        sciml_give(d);
    else
        *values = d;
    return status;
}
