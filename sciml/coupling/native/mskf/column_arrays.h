/* The columns of one call, in the host's arrays of float (bits = 32) or double (bits = 64). */
#ifndef SCIML_COLUMN_ARRAYS_H
#define SCIML_COLUMN_ARRAYS_H

#include "mskf/fields.h"
#include "sciml_mskf.h"

typedef struct sciml_columns {
    int bits;
    sciml_mskf_domain domain;
    const void *in3[SCIML_INPUT_PROFILES];
    const void *in2[SCIML_INPUT_SURFACES];
    void *out3[SCIML_OUTPUT_PROFILES];
    void *out2[SCIML_OUTPUT_SURFACES];
    int32_t *kind;
    /* the outputs of kf_edrates = 1, with the strides of the other outputs; NULL without, all five
     * alike */
    void *rate[SCIML_RATES]; /* kg s-1 through the grid box: the mass that the updraught loses and takes up in
                              * a layer, and the downdraught; as in WRF, what the downdraught takes up is
                              * negative */
    void *timec;             /* s */
} sciml_columns;

/* sciml_mskf_run on arrays of either precision; with doubles the network runs in double precision too. */
SCIML_API int sciml_mskf_run_any(const sciml_mskf *handle, const sciml_columns *columns, char *message,
                                 size_t length);

#endif
