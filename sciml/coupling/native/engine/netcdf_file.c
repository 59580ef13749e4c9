/* Attributes and variables by their names. */
#include "engine/netcdf_file.h"

#include <string.h>

uint32_t sciml_cdf_size(uint32_t type) {
    static const uint32_t bytes[] = {0, 1, 1, 2, 4, 4, 8};
    return type >= CDF_BYTE && type <= CDF_DOUBLE ? bytes[type] : 0;
}

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
