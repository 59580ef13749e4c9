/* Attributes and variables by their names. */
#include "engine/netcdf_file.h"

#include <string.h>

static int same(const uint8_t *a, uint32_t length, const char *b) {
    return strlen(b) == length && memcmp(a, b, length) == 0;
}

const cdf_attribute *sciml_cdf_attribute(const sciml_cdf *file, const char *wanted) {
    for (uint32_t i = 0; i < file->attributes; i++)
        if (same(file->attribute[i].name, file->attribute[i].name_length, wanted)) return &file->attribute[i];
    return NULL;
}

const cdf_variable *sciml_cdf_variable(const sciml_cdf *file, const char *wanted) {
    for (uint32_t i = 0; i < file->variables; i++)
        if (same(file->variable[i].name, file->variable[i].name_length, wanted)) return &file->variable[i];
    return NULL;
}
