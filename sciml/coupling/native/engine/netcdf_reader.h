/* A strict reader of classic netCDF files (CDF-1 and CDF-2), for the weights, without the netCDF library. */
#ifndef SCIML_NETCDF_READER_H
#define SCIML_NETCDF_READER_H

#include "engine/netcdf_file.h"

/* Read the whole file, check its form and its checksum, and open its bundle. On failure nothing stays
 * allocated. */
int sciml_cdf_open(const char *path, sciml_cdf *file, char *message, size_t length);
/* The same from memory of sciml_take, which the file owns from then on, also on failure. */
int sciml_cdf_parse(uint8_t *bytes, size_t size, const char *name, sciml_cdf *file, char *message,
                    size_t length);
void sciml_cdf_close(sciml_cdf *file);

/* A scalar integer attribute. */
int sciml_cdf_integer(const sciml_cdf *file, const char *name, int32_t *value, char *message, size_t length);

float sciml_cdf_float(const uint8_t *big_endian);
double sciml_cdf_double(const uint8_t *big_endian);
int32_t sciml_cdf_int(const uint8_t *big_endian);

#endif
