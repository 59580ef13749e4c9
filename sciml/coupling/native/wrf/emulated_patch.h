/* The emulator's outputs for a few rows of a tile, in memory of their own. */
#ifndef SCIML_EMULATED_PATCH_H
#define SCIML_EMULATED_PATCH_H

#include "mskf/column_arrays.h"
#include "wrf/session.h"
#include "wrf/wrf_patch.h"

/* Profiles (column, level) with the column's index fastest; columns counted i fastest. */
typedef struct sciml_answer {
    int32_t columns; /* capacity */
    float *profile[SCIML_OUTPUT_PROFILES];
    float *surface[SCIML_OUTPUT_SURFACES];
    float *share; /* factor by which the limits scaled the response; 1: unchanged */
    int32_t *kind;
    float *rate[SCIML_RATES], *timec; /* NULL if kf_edrates is off */
    double seconds;                   /* of the emulator, summed up */
    void *memory;
} sciml_answer;

/* Number of rows of a tile that are emulated at a time. */
int32_t sciml_answer_rows(const sciml_tile *tile);

/* Allocate outputs for so many rows, with entrainment rates if `with_rates`; 0 without memory. */
int sciml_answer_open(sciml_answer *answer, const sciml_tile *tile, int32_t rows, int with_rates);
void sciml_answer_close(sciml_answer *answer);

/* Emulate the rows [first, first + rows) of a tile, given their NCA before the call (columns i fastest):
 * columns that are held get kind 3 and nothing else. W0AVG is the value after its update. The response
 * of a column is scaled as a whole where its heating or moistening is beyond the settings' limits, so that
 * its budgets stay closed. The status is that of sciml_mskf_run. */
int sciml_answer_rows_of(const sciml_session *session, const sciml_tile *tile, int32_t first, int32_t rows,
                         const float *nca, sciml_answer *answer, char *message, size_t length);

double sciml_seconds(void);

#endif
