/* The content of a netCDF file in memory: attributes and variables by their names. */
#ifndef SCIML_NETCDF_FILE_H
#define SCIML_NETCDF_FILE_H

#include <stddef.h>
#include <stdint.h>

#define CDF_MAX_RANK 4

enum cdf_type { CDF_BYTE = 1, CDF_CHAR, CDF_SHORT, CDF_INT, CDF_FLOAT, CDF_DOUBLE };

typedef struct cdf_attribute {
    const uint8_t *name;
    uint32_t name_length;
    uint32_t type;
    uint32_t count;
    const uint8_t *values; /* big-endian, in the file's bytes */
} cdf_attribute;

typedef struct cdf_variable {
    const uint8_t *name;
    uint32_t name_length;
    uint32_t type;
    uint32_t rank;
    uint32_t shape[CDF_MAX_RANK];
    uint64_t count; /* product of the shape */
    const uint8_t *values;
} cdf_variable;

typedef struct sciml_cdf {
    uint8_t *bytes;
    size_t size;
    uint32_t attributes, variables;
    cdf_attribute *attribute;
    cdf_variable *variable;
    uint8_t *content; /* of a bundle (engine/bundle.h), or NULL */
} sciml_cdf;

/* Bytes of a value of a type, 0 if there is no such type. */
uint32_t sciml_cdf_size(uint32_t type);

/* NULL when there is none. */
const cdf_attribute *sciml_cdf_attribute(const sciml_cdf *file, const char *name);
const cdf_variable *sciml_cdf_variable(const sciml_cdf *file, const char *name);

#endif
