/* The form is that of "The NetCDF Classic Format Specification" (see cdf.c), with 64-bit offsets. */
#include "cdf_write.h"
#include "cdf.h"
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_DIMENSIONS = 10, LIST_VARIABLES = 11, LIST_ATTRIBUTES = 12 };

typedef struct bytes {
    uint8_t *at;
    size_t size, room;
    int bad;
} bytes;

static void put(bytes *b, const void *from, size_t n) {
    if (b->bad) return;
    if (b->size + n > b->room) {
        const size_t room = 2 * (b->size + n);
        uint8_t *more = realloc(b->at, room);
        if (!more) {
            b->bad = 1;
            return;
        }
        b->at = more;
        b->room = room;
    }
    memcpy(b->at + b->size, from, n);
    b->size += n;
}

static void put32(bytes *b, uint32_t x) {
    const uint8_t big[4] = {(uint8_t)(x >> 24), (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x};
    put(b, big, 4);
}

static void put64(bytes *b, uint64_t x) {
    put32(b, (uint32_t)(x >> 32));
    put32(b, (uint32_t)x);
}

static void put_text(bytes *b, const char *text) {
    const size_t n = strlen(text);
    put32(b, (uint32_t)n);
    put(b, text, n);
    put(b, "\0\0\0", (4 - n % 4) % 4);
}

static void put_text_attribute(bytes *b, const char *name, const char *text) {
    put_text(b, name);
    put32(b, CDF_CHAR);
    put_text(b, text);
}

static void put_number_attribute(bytes *b, const char *name, double number, int whole) {
    uint64_t word;
    memcpy(&word, &number, sizeof word);
    put_text(b, name);
    put32(b, whole ? CDF_INT : CDF_DOUBLE);
    put32(b, 1);
    if (whole)
        put32(b, (uint32_t)(int32_t)number);
    else
        put64(b, word);
}

static void put_list(bytes *b, uint32_t tag, uint32_t count) {
    put32(b, count ? tag : 0);
    put32(b, count);
}

static size_t width_of(uint32_t type) {
    return type == CDF_DOUBLE ? 8 : 4;
}

static uint64_t count_of(const cdf_writer *w, const cdf_written *v) {
    uint64_t count = 1;
    for (uint32_t r = 0; r < v->rank; r++)
        count *= w->dimension[v->dims[r]].size;
    return count;
}

uint32_t sciml_cdf_dimension(cdf_writer *w, const char *name, uint32_t size) {
    w->dimension[w->dimensions].name = name;
    w->dimension[w->dimensions].size = size;
    return w->dimensions++;
}

void sciml_cdf_text(cdf_writer *w, const char *name, const char *text) {
    w->attribute[w->attributes].name = name;
    w->attribute[w->attributes++].text = text;
}

void sciml_cdf_number(cdf_writer *w, const char *name, double number, int whole) {
    w->attribute[w->attributes].name = name;
    w->attribute[w->attributes].text = NULL;
    w->attribute[w->attributes].number = number;
    w->attribute[w->attributes++].whole = whole;
}

void sciml_cdf_values(cdf_writer *w, const cdf_written *variable) {
    w->variable[w->variables++] = *variable;
}

/* The header, for variables of which the first begins at `begin`. */
static void put_header(const cdf_writer *w, bytes *b, uint64_t begin) {
    put(b, "CDF\2", 4);
    put32(b, 0); /* no record dimension */
    put_list(b, LIST_DIMENSIONS, w->dimensions);
    for (uint32_t n = 0; n < w->dimensions; n++) {
        put_text(b, w->dimension[n].name);
        put32(b, w->dimension[n].size);
    }
    put_list(b, LIST_ATTRIBUTES, w->attributes);
    for (uint32_t n = 0; n < w->attributes; n++)
        if (w->attribute[n].text)
            put_text_attribute(b, w->attribute[n].name, w->attribute[n].text);
        else
            put_number_attribute(b, w->attribute[n].name, w->attribute[n].number, w->attribute[n].whole);
    put_list(b, LIST_VARIABLES, w->variables);
    for (uint32_t n = 0; n < w->variables; n++) {
        const cdf_written *v = &w->variable[n];
        const uint64_t size = count_of(w, v) * width_of(v->type);
        put_text(b, v->name);
        put32(b, v->rank);
        for (uint32_t r = 0; r < v->rank; r++)
            put32(b, v->dims[r]);
        put_list(b, LIST_ATTRIBUTES, (v->units ? 1u : 0u) + (v->text ? 1u : 0u));
        if (v->units) put_text_attribute(b, "units", v->units);
        if (v->text) put_text_attribute(b, "long_name", v->text);
        put32(b, v->type);
        put32(b, (uint32_t)size);
        put64(b, begin);
        begin += size;
    }
}

/* Values in the file's byte order, a block at a time. */
static int write_values(FILE *file, const void *values, uint64_t count, size_t width) {
    uint8_t block[8192];
    const uint8_t *from = values;
    const uint64_t most = sizeof block / width;
    const uint16_t probe = 1;
    const int little = *(const uint8_t *)&probe;
    while (count) {
        const uint64_t n = count < most ? count : most;
        for (uint64_t i = 0; i < n * width; i++)
            block[i] = little ? from[i - i % width + (width - 1 - i % width)] : from[i];
        if (fwrite(block, width, n, file) != n) return 0;
        from += n * width;
        count -= n;
    }
    return 1;
}

static int write_all(const cdf_writer *w, FILE *file, const bytes *header) {
    if (fwrite(header->at, 1, header->size, file) != header->size) return 0;
    for (uint32_t n = 0; n < w->variables; n++)
        if (!write_values(file, w->variable[n].values, count_of(w, &w->variable[n]),
                          width_of(w->variable[n].type)))
            return 0;
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

int sciml_cdf_write(const cdf_writer *w, const char *path, char *message, size_t length) {
    char *temporary = malloc(strlen(path) + 32);
    bytes header = {0};
    if (temporary) {
        put_header(w, &header, 0);
        const uint64_t begin = header.size;
        header.size = 0;
        put_header(w, &header, begin);
    }
    if (!temporary || header.bad) {
        free(temporary);
        free(header.at);
        return sciml_say(SCIML_MEMORY, message, length, "no memory to write %s", path);
    }
    sprintf(temporary, "%s.part%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    int good = file && write_all(w, file, &header), reason = errno;
    if (file && fclose(file) != 0 && good) {
        good = 0;
        reason = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = 0;
        reason = errno;
    }
    if (!good && file) unlink(temporary);
    free(temporary);
    free(header.at);
    if (good) return sciml_say(SCIML_OK, message, length, "%s", "");
    return sciml_say(SCIML_FILE, message, length, "cannot write %s: %s", path, strerror(reason));
}
