/* Tensors that a weights file stores in fewer bits than 32-bit floats. */
#ifndef SCIML_PACKED_TENSOR_H
#define SCIML_PACKED_TENSOR_H

#include "engine/netcdf_reader.h"

/* Read all numbers of a variable of floats, doubles, bfloat16 (short) or packed integers (byte) of this shape
 * into memory of sciml_take. A variable of another type or shape, a damaged one, or one with numbers that are
 * not finite gives a status and a message, and *values is NULL. */
int sciml_read_tensor(const sciml_cdf *file, const char *name, uint32_t rank, const uint32_t *shape,
                      double **values, char *message, size_t length);

#endif
