/* A strict reader of classic netCDF files (CDF-1 and CDF-2), for the weights, without the netCDF library. */
#ifndef SCIML_NETCDF_READER_H
#define SCIML_NETCDF_READER_H

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

/* Read the whole file, check its form and its checksum, and open its bundle. On failure nothing stays
 * allocated. */
int sciml_cdf_open(const char *path, sciml_cdf *file, char *message, size_t length);
/* The same from memory of sciml_take, which the file owns from then on, also on failure. */
int sciml_cdf_parse(uint8_t *bytes, size_t size, const char *name, sciml_cdf *file, char *message,
                    size_t length);
void sciml_cdf_close(sciml_cdf *file);

/* NULL when there is none. */
const cdf_attribute *sciml_cdf_attribute(const sciml_cdf *file, const char *name);
const cdf_variable *sciml_cdf_variable(const sciml_cdf *file, const char *name);

/* A scalar integer attribute. */
int sciml_cdf_integer(const sciml_cdf *file, const char *name, int32_t *value, char *message, size_t length);

float sciml_cdf_float(const uint8_t *big_endian);
double sciml_cdf_double(const uint8_t *big_endian);
int32_t sciml_cdf_int(const uint8_t *big_endian);

#endif
