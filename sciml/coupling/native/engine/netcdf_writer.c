/* The form is that of "The NetCDF Classic Format Specification" (see netcdf_reader.c), with 64-bit offsets.
 */
#include "engine/netcdf_writer.h"
#include "engine/arena.h"
#include "engine/disk.h"
#include "engine/message.h"
#include "engine/netcdf_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT_AT 4 /* offset of the number of records */

enum { LIST_DIMENSIONS = 10, LIST_VARIABLES = 11, LIST_ATTRIBUTES = 12 };

typedef struct bytes {
    uint8_t *at;
    size_t size, capacity;
    int bad;
} bytes;

static void put(bytes *b, const void *from, size_t n) {
    if (b->bad) return;
    if (b->size + n > b->capacity) {
        const size_t capacity = 2 * (b->size + n);
        uint8_t *more = sciml_enlarge(b->at, b->size, capacity);
        if (!more) {
            b->bad = 1;
            return;
        }
        b->at = more;
        b->capacity = capacity;
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

/* The header, for variables of which the first begins at `begin`: one after the other, or, in a file that
 * grows, all those of a record. */
static void put_header(const cdf_writer *w, bytes *b, uint32_t records, uint64_t begin) {
    put(b, "CDF\2", 4);
    put32(b, records);
    put_list(b, LIST_DIMENSIONS, w->dimensions);
    for (uint32_t n = 0; n < w->dimensions; n++) {
        put_text(b, w->dimension[n].name);
        put32(b, n == 0 && w->grows ? 0 : w->dimension[n].size);
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

static int is_little(void) {
    const uint16_t probe = 1;
    return *(const uint8_t *)&probe;
}

/* Values in the file's byte order, a block at a time; 0, or errno. */
static int write_values(int file, const void *values, uint64_t count, size_t width, uint64_t at) {
    uint8_t block[8192];
    const uint8_t *from = values;
    const uint64_t most = sizeof block / width;
    const int little = is_little();
    while (count) {
        const uint64_t n = count < most ? count : most;
        for (uint64_t i = 0; i < n * width; i++)
            block[i] = little ? from[i - i % width + (width - 1 - i % width)] : from[i];
        const int reason = sciml_write_at(file, block, n * width, at);
        if (reason) return reason;
        from += n * width;
        at += n * width;
        count -= n;
    }
    return 0;
}

/* The header into a block of the arena; `bad` without memory. */
static bytes header_of(const cdf_writer *w, uint32_t records) {
    bytes b = {0};
    put_header(w, &b, records, 0);
    const uint64_t begin = b.size;
    b.size = 0;
    put_header(w, &b, records, begin);
    return b;
}

static int write_all(const cdf_writer *w, int file, const bytes *header) {
    int reason = sciml_write_at(file, header->at, header->size, 0);
    uint64_t at = header->size;
    for (uint32_t n = 0; n < w->variables && !reason; n++) {
        const cdf_written *v = &w->variable[n];
        const uint64_t count = count_of(w, v);
        reason = write_values(file, v->values, count, width_of(v->type), at);
        at += count * width_of(v->type);
    }
    return reason || fsync(file) == 0 ? reason : errno;
}

static int cannot_write(const char *path, int reason, char *message, size_t length) {
    return sciml_say(SCIML_FILE, message, length, "cannot write %s: %s", path, sciml_error_text(reason));
}

int sciml_cdf_write(const cdf_writer *w, const char *path, char *message, size_t length) {
    const size_t capacity = strlen(path) + 32;
    char *temporary = sciml_take(capacity);
    bytes header = header_of(w, 0);
    if (!temporary || header.bad) {
        sciml_give(temporary);
        sciml_give(header.at);
        return sciml_say(SCIML_MEMORY, message, length, "no memory to write %s", path);
    }
    snprintf(temporary, capacity, "%s.part%ld", path, (long)getpid());
    const int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int reason = file < 0 ? errno : write_all(w, file, &header);
    if (file >= 0 && close(file) != 0 && !reason) reason = errno;
    if (!reason && rename(temporary, path) != 0) reason = errno;
    if (reason && file >= 0) unlink(temporary);
    sciml_give(temporary);
    sciml_give(header.at);
    if (reason) return cannot_write(path, reason, message, length);
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

int sciml_cdf_rewrite(const cdf_growing *g, const cdf_writer *w, char *message, size_t length) {
    bytes header = header_of(w, g->records);
    const int reason = header.bad                ? ENOMEM
                       : header.size != g->begin ? EINVAL
                                                 : sciml_write_at(g->file, header.at, header.size, 0);
    sciml_give(header.at);
    if (reason) return cannot_write(g->path, reason, message, length);
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

int sciml_cdf_begin(cdf_growing *g, const cdf_writer *w, const char *path, char *message, size_t length) {
    bytes header = header_of(w, 0);
    *g = (cdf_growing){.file = -1, .begin = header.size};
    snprintf(g->path, sizeof g->path, "%s", path);
    for (uint32_t n = 0; n < w->variables; n++)
        g->record_bytes += count_of(w, &w->variable[n]) * width_of(w->variable[n].type);
    g->file = header.bad ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const int reason = header.bad    ? ENOMEM
                       : g->file < 0 ? errno
                                     : sciml_write_at(g->file, header.at, header.size, 0);
    sciml_give(header.at);
    if (!reason) return sciml_say(SCIML_OK, message, length, "%s", "");
    sciml_cdf_end(g);
    return cannot_write(path, reason, message, length);
}

int sciml_cdf_append(cdf_growing *g, const void *records, uint32_t count, char *message, size_t length) {
    int reason = sciml_write_at(g->file, records, g->record_bytes * count,
                                g->begin + (uint64_t)g->records * g->record_bytes);
    const uint32_t now = g->records + count;
    const uint8_t big[4] = {(uint8_t)(now >> 24), (uint8_t)(now >> 16), (uint8_t)(now >> 8), (uint8_t)now};
    /* after the records, so that the file is complete at any moment */
    if (!reason) reason = sciml_write_at(g->file, big, sizeof big, COUNT_AT);
    if (reason) return cannot_write(g->path, reason, message, length);
    g->records = now;
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

void sciml_cdf_end(cdf_growing *g) {
    if (g->file >= 0) close(g->file);
    g->file = -1;
}

uint8_t *sciml_cdf_put(uint8_t *at, const void *value) {
    const uint8_t *from = value;
    const int little = is_little();
    for (int n = 0; n < 4; n++)
        at[n] = from[little ? 3 - n : n];
    return at + 4;
}
