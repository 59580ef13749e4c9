/* The C interface of an emulator of a declared column scheme, in libsciml_mskf.
 *
 * Status, message, threads, memory and floating-point environment are those of sciml_mskf.h. */
#ifndef SCIML_COLUMN_H
#define SCIML_COLUMN_H

#include "sciml_mskf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sciml_column sciml_column;

/* The numbers of fields of the scheme. */
typedef struct sciml_column_description {
    int32_t input_profiles, input_scalars, output_profiles, output_scalars;
} sciml_column_description;

/* Open a weights file of the scheme with the name `scheme`; the status is SCIML_SCHEMA if the file is one of
 * another scheme. A NULL or empty name takes any scheme. On failure *handle is NULL. */
SCIML_API int sciml_column_init(const char *path, const char *scheme, sciml_column **handle, char *message,
                                size_t length);

/* Free a handle and set it to NULL; a NULL handle has no effect. */
SCIML_API void sciml_column_finalise(sciml_column **handle);

SCIML_API int sciml_column_describe(const sciml_column *handle, sciml_column_description *description,
                                    char *message, size_t length);

/* Run the emulator, in double precision.
 *
 * Arrays are contiguous, the column fastest, then the level (0 = lowest), then the field in the order of the
 * declaration (profiles and scalars apart): in3[(field * levels + k) * columns + i], in2[field * columns +
 * i]. In Fortran these are in3(columns, levels, fields) and in2(columns, fields). in2 and out2 may be NULL if
 * the scheme has no scalars.
 *
 * The closures of the scheme hold to round-off in every column. A column is invalid if an input is not
 * finite, or the time step, a mass of a closure or a factor of a balanced output is not positive: its outputs
 * are zero, and `message` has the number of such columns; the status is SCIML_OK. Fewer levels than the
 * `least_levels` of the declaration are an error (SCIML_ARGUMENT). */
SCIML_API int sciml_column_run(const sciml_column *handle, int64_t columns, int32_t levels, const double *in3,
                               const double *in2, double *out3, double *out2, int32_t threads, char *message,
                               size_t length);

#ifdef __cplusplus
}
#endif
#endif
