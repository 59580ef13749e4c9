/* Online statistics of a run: counts of the emulator's answers and, in shadow mode, its errors against the
 * scheme. */
#ifndef SCIML_STATISTICS_H
#define SCIML_STATISTICS_H

#include "wrf/emulated_patch.h"
#include "wrf/session.h"
#include "wrf/wrf_patch.h"

enum tally_count {
    TALLY_COLUMNS, /* that the scheme was called for and that were not held */
    TALLY_HELD,
    TALLY_NOVEL,    /* of more novelty than the setting */
    TALLY_OUTSIDE,  /* of novelty above 1: unlike the columns of the training */
    TALLY_LIMITED,  /* whose response was scaled */
    TALLY_UNSOUND,  /* not finite or not physical: given to the host's scheme */
    TALLY_RETURNED, /* given to the host's scheme, for any reason */
    TALLY_NONE,     /* emulated: nothing triggers */
    TALLY_SHALLOW,
    TALLY_DEEP,
    TALLY_COUNTS
};

typedef struct sciml_tally sciml_tally;

/* NULL without memory. */
sciml_tally *sciml_tally_new(int32_t levels);
void sciml_tally_free(sciml_tally *tally);

/* Count the columns of some rows by the emulator's answer; `returned`: 1 where the host's scheme is used. */
void sciml_tally_count(sciml_tally *tally, const sciml_answer *answer, int32_t columns, double novelty,
                       const uint8_t *returned);

/* Compare the emulator's outputs of rows with those of the host's scheme (shadow). */
void sciml_tally_compare(sciml_tally *tally, const sciml_tile *tile, int32_t first, int32_t rows,
                         const sciml_answer *answer);

void sciml_tally_seconds(sciml_tally *tally, double original, double emulator);

/* Add the counts of one thread; the caller holds the record's lock. */
void sciml_tally_add(sciml_tally *to, const sciml_tally *from);

/* Write a file of the counts since the tally was cleared; the caller holds the record's lock. */
int sciml_tally_write(sciml_tally *tally, const sciml_session *session, const sciml_record *record,
                      const char *path, char *message, size_t length);

/* Set all counts to zero. */
void sciml_tally_clear(sciml_tally *tally);

#endif
