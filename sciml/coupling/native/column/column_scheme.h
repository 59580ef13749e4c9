/* A declared column scheme, as a weights file describes it: its fields, heads and closures. */
#ifndef SCIML_COLUMN_SCHEME_H
#define SCIML_COLUMN_SCHEME_H

#include "engine/netcdf_reader.h"
#include "engine/network_weights.h"
#include "sciml_column.h"

#define SCIML_MOST_FIELDS 64 /* inputs, outputs, terms of all closures */

/* Fields are numbered as declared, profiles before scalars; -1 is none. */
typedef struct sciml_column_scheme {
    sciml_column_description fields;
    int32_t inputs, outputs; /* profiles and scalars */
    int32_t step;            /* input with the time step in s */
    int32_t least_levels;

    int32_t channels; /* of the network, per level */
    int32_t source[2 * SCIML_MOST_FIELDS], is_log[2 * SCIML_MOST_FIELDS];
    double size[SCIML_MOST_FIELDS]; /* of each input */
    double mean[2 * SCIML_MOST_FIELDS], inverse[2 * SCIML_MOST_FIELDS];
    double mix[4 * SCIML_MOST_FIELDS * SCIML_MOST_FIELDS]; /* (standardised channel, channel) */
    double clip, least;

    int32_t heads;                      /* of the network, per level */
    int32_t head[SCIML_MOST_FIELDS];    /* output of each head */
    double scale[SCIML_MOST_FIELDS];    /* of each head */
    int32_t head_of[SCIML_MOST_FIELDS]; /* head of each output */

    double low[SCIML_MOST_FIELDS], high[SCIML_MOST_FIELDS]; /* bounds of each output */
    int32_t changes[SCIML_MOST_FIELDS];                     /* input of which the output is the tendency */
    int32_t nonnegative[SCIML_MOST_FIELDS];

    /* Closures: those of the column first. The terms of closure n are begin[n] to begin[n + 1] - 1. */
    int32_t laws, terms;
    int32_t is_level[SCIML_MOST_FIELDS], begin[SCIML_MOST_FIELDS + 1], solved[SCIML_MOST_FIELDS];
    int32_t mass[SCIML_MOST_FIELDS], surface[SCIML_MOST_FIELDS];
    int32_t term[SCIML_MOST_FIELDS], by[SCIML_MOST_FIELDS];
    double factor[SCIML_MOST_FIELDS];
} sciml_column_scheme;

/* The handle of sciml_column.h. */
struct sciml_column {
    sciml_mskf *network;
    sciml_column_scheme scheme;
};

/* Read the scheme of a weights file with this network, and check all its numbers. */
int sciml_column_scheme_read(const sciml_cdf *file, const sciml_network *network, const char *expected,
                             sciml_column_scheme *scheme, char *message, size_t length);

/* The channels (level, channel) of column i of the arrays of sciml_column_run; 0 if the column is invalid. */
int sciml_column_channels(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                          const double *in3, const double *in2, double *x);

/* The outputs of column i from its heads (level, head); zero, and the answer 0, if one is not finite. `work`
 * has SCIML_COLUMN_WORK * levels numbers. */
#define SCIML_COLUMN_WORK (2 * SCIML_MOST_FIELDS)
int sciml_column_outputs(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                         const double *in3, const double *in2, const double *y, double *work, double *out3,
                         double *out2);

/* Set the outputs of column i to zero. */
void sciml_column_clear(const sciml_column_scheme *s, int64_t columns, int32_t levels, int64_t i,
                        double *out3, double *out2);

#endif
