/* The form is that of "The NetCDF Classic Format Specification" (Unidata, netCDF user's guide,
 * appendix B): a header of big-endian lists, then the variables. No value of the file
 * is trusted: each length is compared with the remaining bytes before it is used.
 *
 * The global attribute `checksum` is "sha256:" and 64 hexadecimal digits, the SHA-256 of the whole
 * file in which these digits are zeros. */
#include "engine/netcdf_reader.h"
#include "engine/arena.h"
#include "engine/bundle.h"
#include "engine/cursor.h"
#include "engine/disk.h"
#include "engine/message.h"
#include "engine/sha256.h"

#include <string.h>

#define LARGEST ((size_t)1 << 30)
#define DIMENSIONS 1024
#define PREFIX "sha256:"
#define DIGITS 64

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t big64(const uint8_t *p) {
    return (uint64_t)big32(p) << 32 | big32(p + 4);
}

int32_t sciml_cdf_int(const uint8_t *p) {
    const uint32_t u = big32(p);
    int32_t i;
    memcpy(&i, &u, sizeof i);
    return i;
}

float sciml_cdf_float(const uint8_t *p) {
    const uint32_t u = big32(p);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

double sciml_cdf_double(const uint8_t *p) {
    const uint64_t u = big64(p);
    double d;
    memcpy(&d, &u, sizeof d);
    return d;
}

static uint32_t number(cursor *c) {
    const uint8_t *p = take(c, 4);
    return p ? big32(p) : 0;
}

static uint64_t padded(uint64_t n) {
    return (n + 3) & ~(uint64_t)3;
}

static const uint8_t *name(cursor *c, uint32_t *length) {
    *length = number(c);
    if (*length == 0) c->bad = 1;
    return take(c, padded(*length));
}

/* The head of a list: its tag and how many elements follow, each of at least `least` bytes. */
static uint32_t list(cursor *c, uint32_t tag, size_t least) {
    const uint32_t actual = number(c), n = number(c);
    if ((actual != tag && (actual != 0 || n != 0)) || n > c->left / least) c->bad = 1;
    return c->bad ? 0 : n;
}

/* Read attributes into `into`, or skip them if it is NULL. */
static void attributes(cursor *c, cdf_attribute **into, uint32_t *count) {
    const uint32_t n = list(c, 0x0c, 16);
    if (into) {
        *into = sciml_take_zeroed((size_t)n + 1, sizeof **into);
        *count = *into ? n : 0;
        if (!*into) c->bad = 2;
    }
    for (uint32_t i = 0; i < n && !c->bad; i++) {
        cdf_attribute a;
        a.name = name(c, &a.name_length);
        a.type = number(c);
        a.count = number(c);
        a.values = take(c, padded((uint64_t)a.count * sciml_cdf_size(a.type)));
        if (sciml_cdf_size(a.type) == 0) c->bad = 1;
        if (into && !c->bad) (*into)[i] = a;
    }
}

static void variable(cursor *c, const sciml_cdf *file, const uint32_t *lengths, uint32_t dimensions,
                     cdf_variable *v) {
    v->name = name(c, &v->name_length);
    v->rank = number(c);
    if (v->rank > CDF_MAX_RANK) c->bad = 1;
    v->count = 1;
    for (uint32_t r = 0; r < v->rank && !c->bad; r++) {
        const uint32_t id = number(c);
        if (id >= dimensions) {
            c->bad = 1;
            return;
        }
        v->shape[r] = lengths[id];
        if (lengths[id] == 0 || v->count > LARGEST / lengths[id]) {
            c->bad = 1;
            return;
        }
        v->count *= lengths[id];
    }
    attributes(c, NULL, NULL);
    v->type = number(c);
    number(c); /* vsize: follows from the shape */
    uint64_t begin;
    if (file->bytes[3] == 1) {
        begin = number(c);
    } else {
        const uint8_t *p = take(c, 8);
        begin = p ? big64(p) : 0;
    }
    if (c->bad) return;
    const uint64_t bytes = v->count * sciml_cdf_size(v->type);
    if (bytes == 0 || begin > file->size || bytes > file->size - begin) {
        c->bad = 1;
        return;
    }
    v->values = file->bytes + begin;
}

static void header(cursor *c, sciml_cdf *file) {
    uint32_t lengths[DIMENSIONS];
    take(c, 4);                     /* the magic number, checked before */
    if (number(c) != 0) c->bad = 1; /* records: never in a weights file */
    const uint32_t dimensions = list(c, 0x0a, 12);
    if (dimensions > DIMENSIONS) c->bad = 1;
    for (uint32_t i = 0; i < dimensions && !c->bad; i++) {
        uint32_t length;
        name(c, &length);
        lengths[i] = number(c);
    }
    if (!c->bad) attributes(c, &file->attribute, &file->attributes);
    if (c->bad) return;
    const uint32_t n = list(c, 0x0b, 32);
    file->variable = sciml_take_zeroed((size_t)n + 1, sizeof *file->variable);
    if (!file->variable) {
        c->bad = 2;
        return;
    }
    for (uint32_t i = 0; i < n && !c->bad; i++)
        variable(c, file, lengths, dimensions, &file->variable[i]);
    file->variables = n;
}

static int verify(const sciml_cdf *file, const char *path, char *message, size_t length) {
    const cdf_attribute *a = sciml_cdf_attribute(file, "checksum");
    const size_t prefix = strlen(PREFIX);
    if (!a || a->type != CDF_CHAR || a->count != prefix + DIGITS || memcmp(a->values, PREFIX, prefix) != 0)
        return sciml_say(SCIML_CHECKSUM, message, length,
                         "%s has no checksum: it is damaged, or not a weights file of sciml", path);
    const size_t at = (size_t)(a->values - file->bytes) + prefix;
    static const uint8_t zeros[DIGITS] = "0000000000000000000000000000000000000000000000000000000"
                                         "000000000";
    sciml_sha256 sum;
    char computed[DIGITS + 1];
    sciml_sha256_start(&sum);
    sciml_sha256_add(&sum, file->bytes, at);
    sciml_sha256_add(&sum, zeros, DIGITS);
    sciml_sha256_add(&sum, file->bytes + at + DIGITS, file->size - at - DIGITS);
    sciml_sha256_finish(&sum, computed);
    if (memcmp(computed, file->bytes + at, DIGITS) != 0)
        return sciml_say(SCIML_CHECKSUM, message, length,
                         "%s is damaged: its content has the checksum %.12s..., its header has "
                         "%.12s...; copy or export it again",
                         path, computed, (const char *)(file->bytes + at));
    return SCIML_OK;
}

int sciml_cdf_parse(uint8_t *bytes, size_t size, const char *path, sciml_cdf *file, char *message,
                    size_t length) {
    *file = (sciml_cdf){.bytes = bytes, .size = size};
    int status = SCIML_OK;
    if (size < 4 || memcmp(bytes, "CDF", 3) != 0 || (bytes[3] != 1 && bytes[3] != 2)) {
        status = sciml_say(SCIML_FILE, message, length,
                           "%s is not a weights file: it is not classic netCDF (CDF-1 or CDF-2); "
                           "make one with `sciml coupling export`",
                           path);
    } else {
        cursor c = {bytes, size, 0};
        header(&c, file);
        if (c.bad == 2)
            status = sciml_say(SCIML_MEMORY, message, length, "no memory to read %s", path);
        else if (c.bad)
            status = sciml_say(SCIML_CHECKSUM, message, length,
                               "%s is damaged or cut short: its header does not fit its %zu "
                               "bytes; copy or export it again",
                               path, size);
        else
            status = verify(file, path, message, length);
        if (!status) status = sciml_open_bundle(file, path, message, length);
    }
    if (status) sciml_cdf_close(file);
    return status;
}

int sciml_cdf_open(const char *path, sciml_cdf *file, char *message, size_t length) {
    uint8_t *bytes;
    size_t size;
    *file = (sciml_cdf){0};
    const int status = sciml_read_file("the weights file", path, LARGEST, &bytes, &size, message, length);
    return status ? status : sciml_cdf_parse(bytes, size, path, file, message, length);
}

void sciml_cdf_close(sciml_cdf *file) {
    sciml_give(file->bytes);
    sciml_give(file->content);
    sciml_give(file->attribute);
    sciml_give(file->variable);
    *file = (sciml_cdf){0};
}

int sciml_cdf_integer(const sciml_cdf *file, const char *wanted, int32_t *value, char *message,
                      size_t length) {
    const cdf_attribute *a = sciml_cdf_attribute(file, wanted);
    if (!a || a->type != CDF_INT || a->count != 1)
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no integer attribute `%s`: export it again", wanted);
    *value = sciml_cdf_int(a->values);
    return SCIML_OK;
}
