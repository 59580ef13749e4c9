/* A writer of classic netCDF files (CDF-2), for captures and statistics: it needs no library. */
#ifndef SCIML_CDF_WRITE_H
#define SCIML_CDF_WRITE_H

#include <stddef.h>
#include <stdint.h>

#define CDF_WRITE_MOST 64 /* variables and dimensions of a file */

typedef struct cdf_written {
    const char *name, *units, *text; /* `text` becomes long_name */
    uint32_t type;                   /* CDF_INT, CDF_FLOAT or CDF_DOUBLE */
    uint32_t rank, dims[4];
    const void *values; /* in the host's byte order; used by sciml_cdf_write only */
} cdf_written;

typedef struct cdf_writer {
    uint32_t dimensions, variables, attributes;
    struct {
        const char *name;
        uint32_t size;
    } dimension[CDF_WRITE_MOST];
    cdf_written variable[CDF_WRITE_MOST];
    struct {
        const char *name, *text; /* a text, or else a number */
        double number;
        int whole;
    } attribute[CDF_WRITE_MOST];
} cdf_writer;

/* All names and texts must outlive the writer. */
uint32_t sciml_cdf_dimension(cdf_writer *writer, const char *name, uint32_t size);
void sciml_cdf_text(cdf_writer *writer, const char *name, const char *text);
void sciml_cdf_number(cdf_writer *writer, const char *name, double number, int whole);
void sciml_cdf_values(cdf_writer *writer, const cdf_written *variable);

/* Write the file under a temporary name in the same directory, then rename it; on failure (SCIML_FILE,
 * SCIML_MEMORY) nothing is left there. */
int sciml_cdf_write(const cdf_writer *writer, const char *path, char *message, size_t length);

#endif
