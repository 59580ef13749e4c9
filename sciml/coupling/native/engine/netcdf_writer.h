/* A writer of classic netCDF files (CDF-2), for captures and statistics, without the netCDF library. */
#ifndef SCIML_NETCDF_WRITER_H
#define SCIML_NETCDF_WRITER_H

#include <stddef.h>
#include <stdint.h>

#define CDF_PATH_SIZE 2048

#define CDF_WRITE_MOST 64 /* variables and dimensions of a file */

typedef struct cdf_written {
    const char *name, *units, *text; /* `text` becomes long_name */
    uint32_t type;                   /* CDF_INT, CDF_FLOAT or CDF_DOUBLE */
    uint32_t rank, dims[4];
    const void *values; /* in the host's byte order; used by sciml_cdf_write only */
} cdf_written;

typedef struct cdf_writer {
    uint32_t dimensions, variables, attributes;
    int grows; /* 1: the first dimension, of size 1, is that of the records, and all variables have it */
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

/* A file to which records are appended; it is a complete netCDF file after each, also if the process is
 * killed. */
typedef struct cdf_growing {
    int file;                     /* -1: none */
    uint64_t begin, record_bytes; /* of the first record; of one */
    uint32_t records;
    char path[CDF_PATH_SIZE];
} cdf_growing;

/* All names and texts must outlive the writer. */
uint32_t sciml_cdf_dimension(cdf_writer *writer, const char *name, uint32_t size);
void sciml_cdf_text(cdf_writer *writer, const char *name, const char *text);
void sciml_cdf_number(cdf_writer *writer, const char *name, double number, int whole);
void sciml_cdf_values(cdf_writer *writer, const cdf_written *variable);

/* Write the file under a temporary name in the same directory, then rename it; on failure (SCIML_FILE,
 * SCIML_MEMORY) no file stays there. */
int sciml_cdf_write(const cdf_writer *writer, const char *path, char *message, size_t length);

/* Begin a file without records, for a writer that grows. */
int sciml_cdf_begin(cdf_growing *file, const cdf_writer *writer, const char *path, char *message,
                    size_t length);
/* Append records that have the file's byte order already; on failure the file stays as it was. */
int sciml_cdf_append(cdf_growing *file, const void *records, uint32_t count, char *message, size_t length);
/* Write the header again, in which numbers have changed but no text. */
int sciml_cdf_rewrite(const cdf_growing *file, const cdf_writer *writer, char *message, size_t length);
void sciml_cdf_end(cdf_growing *file);

/* Put a float or a 4-byte integer in the file's byte order; return the address behind it. */
uint8_t *sciml_cdf_put(uint8_t *at, const void *value);

#endif
