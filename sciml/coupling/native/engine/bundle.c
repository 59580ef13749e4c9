/* The form is that of sciml/compress/bundle.py. No length of the file is trusted: each is compared with the
 * remaining bytes before it is used. */
#include "engine/bundle.h"
#include "engine/arena.h"
#include "engine/cursor.h"
#include "engine/inflate.h"
#include "engine/message.h"

#include <string.h>

#define VERSION 1
/* The type of packed tensors of 16-bit integers: their shape is rows, columns and bytes. */
#define CODES 7
#define LARGEST ((size_t)1 << 30)
/* A stream is at most so much shorter than its content. */
#define MOST_RATIO 1040

/* An unsigned number of some bytes. */
static uint32_t number(cursor *c, int bytes) {
    const uint8_t *p = take(c, (uint64_t)bytes);
    uint32_t value = 0;
    for (int i = 0; p && i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static const uint8_t *name(cursor *c, uint32_t *length) {
    *length = number(c, 1);
    if (*length == 0) c->bad = 1;
    return take(c, *length);
}

/* Inflate all streams; returns 0, 1 if they are damaged, or 2 without memory. */
static int inflate_streams(sciml_cdf *file, const cdf_variable *v, size_t *size) {
    cursor c = {v->values, (size_t)v->count, 0};
    number(&c, 1); /* the version */
    const uint32_t streams = number(&c, 1);
    cursor sizes = {c.at, c.left, c.bad};
    uint64_t whole = 0, stored = 0;
    for (uint32_t i = 0; i < streams; i++) {
        whole += number(&c, 4);
        stored += number(&c, 4);
    }
    if (c.bad || stored != c.left || whole > LARGEST || whole > MOST_RATIO * stored) return 1;
    *size = (size_t)whole;
    if (!(file->content = sciml_take((size_t)whole + 1))) return 2;
    uint8_t *to = file->content;
    for (uint32_t i = 0; i < streams; i++) {
        const uint32_t bytes = number(&sizes, 4), packed = number(&sizes, 4);
        if (sciml_inflate(take(&c, packed), packed, to, bytes)) return 1;
        to += bytes;
    }
    return 0;
}

static void read_attribute(cursor *c, cdf_attribute *a) {
    a->name = name(c, &a->name_length);
    a->type = number(c, 1);
    a->count = number(c, 2);
    a->values = take(c, (uint64_t)a->count * sciml_cdf_size(a->type));
    if (sciml_cdf_size(a->type) == 0) c->bad = 1;
}

static void read_shape(cursor *c, cdf_variable *v) {
    v->name = name(c, &v->name_length);
    v->type = number(c, 1);
    v->rank = number(c, 1);
    v->count = 1;
    if (v->rank > CDF_MAX_RANK || (v->type != CODES && sciml_cdf_size(v->type) == 0) || v->type == CDF_CHAR)
        c->bad = 1;
    if (v->type == CODES && v->rank != 3) c->bad = 1;
    for (uint32_t r = 0; r < v->rank && !c->bad; r++) {
        v->shape[r] = number(c, 4);
        if (r == 2 && v->type == CODES) { /* the bytes, of which the codes are some */
            if (v->shape[r] > LARGEST || 2 * v->count > v->shape[r]) c->bad = 1;
            v->count = v->shape[r];
            continue;
        }
        if (v->shape[r] == 0 || v->count > LARGEST / v->shape[r]) c->bad = 1;
        v->count *= c->bad ? 1 : v->shape[r];
    }
}

/* Put the bytes of each number together, which are in planes; `planes` has space for them. */
static void join_planes(uint8_t *values, size_t count, uint32_t bytes, uint8_t *planes) {
    memcpy(planes, values, count * bytes);
    for (size_t i = 0; i < count; i++)
        for (uint32_t b = 0; b < bytes; b++)
            values[i * bytes + b] = planes[b * count + i];
}

/* Restore packed tensors of 16-bit integers, whose `count` bytes have the order of
 * sciml/compress/code_planes.py. */
static void join_codes(const cdf_variable *v, uint32_t tensors, uint8_t *values, size_t count,
                       uint8_t *planes) {
    size_t codes = 0;
    for (uint32_t t = 0; t < tensors; t++)
        codes += (size_t)v[t].shape[0] * v[t].shape[1];
    memcpy(planes, values, count);
    const uint8_t *head = planes, *upper = planes + (count - 2 * codes), *lower = upper + codes;
    for (uint32_t t = 0; t < tensors; t++) {
        const size_t rows = v[t].shape[0], columns = v[t].shape[1], own = rows * columns;
        const size_t before = (size_t)v[t].count - 2 * own;
        memcpy(values, head, before);
        values += before;
        for (size_t k = 0; k < columns; k++) {
            uint8_t sum = 0;
            for (size_t r = 0; r < rows; r++) {
                sum = (uint8_t)(sum + upper[k * rows + r]);
                values[2 * (r * columns + k)] = lower[k * rows + r];
                values[2 * (r * columns + k) + 1] = sum;
            }
        }
        values += 2 * own;
        head += before;
        upper += own;
        lower += own;
    }
}

/* Read the list of the content; returns 0, 1 if it is damaged, or 2 without memory. */
static int read_list(sciml_cdf *file, size_t size) {
    cursor c = {file->content, size, 0};
    const uint32_t attributes = number(&c, 2), arrays = number(&c, 2), before = file->attributes;
    cdf_attribute *merged = sciml_take_zeroed((size_t)before + attributes + 1, sizeof *merged);
    cdf_variable *variables = sciml_take_zeroed((size_t)arrays + 1, sizeof *variables);
    if (!merged || !variables) {
        sciml_give(merged);
        sciml_give(variables);
        return 2;
    }
    memcpy(merged, file->attribute, before * sizeof *merged);
    for (uint32_t i = 0; i < attributes && !c.bad; i++)
        read_attribute(&c, &merged[before + i]);
    for (uint32_t i = 0; i < arrays && !c.bad; i++)
        read_shape(&c, &variables[i]);
    uint8_t *planes = sciml_take(size + 1);
    for (uint32_t i = 0; planes && i < arrays && !c.bad;) {
        const uint32_t type = variables[i].type;
        uint8_t *values = file->content + (size - c.left);
        size_t count = 0; /* of the numbers of the arrays of one type that follow each other */
        const uint32_t bytes = type == CODES ? 1 : sciml_cdf_size(type), first = i;
        for (; i < arrays && variables[i].type == type && !c.bad; i++) {
            count += (size_t)variables[i].count;
            variables[i].values = take(&c, variables[i].count * bytes);
        }
        if (!c.bad && type == CODES) join_codes(&variables[first], i - first, values, count, planes);
        if (!c.bad && bytes > 1) join_planes(values, count, bytes, planes);
    }
    for (uint32_t i = 0; i < arrays; i++)
        if (variables[i].type == CODES) {
            variables[i].type = CDF_BYTE;
            variables[i].rank = 1;
            variables[i].shape[0] = variables[i].shape[2];
        }
    sciml_give(planes);
    sciml_give(file->attribute);
    sciml_give(file->variable);
    file->attribute = merged;
    file->variable = variables;
    file->attributes = c.bad ? 0 : before + attributes;
    file->variables = c.bad ? 0 : arrays;
    return !planes ? 2 : c.bad || c.left;
}

int sciml_open_bundle(sciml_cdf *file, const char *path, char *message, size_t length) {
    const cdf_variable *v = sciml_cdf_variable(file, "bundle");
    size_t size = 0;
    if (!v || file->variables != 1 || v->type != CDF_BYTE) return SCIML_OK;
    if (v->values[0] != VERSION)
        return sciml_say(
            SCIML_SCHEMA, message, length,
            "%s has a bundle of version %d, this library reads version %d: export the weights and "
            "build the library with the same sciml",
            path, v->values[0], VERSION);
    int status = inflate_streams(file, v, &size);
    if (!status) status = read_list(file, size);
    if (status == 2) return sciml_say(SCIML_MEMORY, message, length, "no memory to read %s", path);
    return status ? sciml_say(SCIML_CHECKSUM, message, length,
                              "the bundle of %s is damaged: its streams do not have the arrays that its list "
                              "names; copy or export it again",
                              path)
                  : SCIML_OK;
}
