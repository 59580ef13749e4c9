/* Online statistics of a run: what the emulator did and, in shadow mode, how it differs from the scheme. */
#ifndef SCIML_STATISTICS_H
#define SCIML_STATISTICS_H

#include "wrf/emulated_patch.h"
#include "wrf/session.h"
#include "wrf/wrf_patch.h"

enum tally_count {
    TALLY_COLUMNS, /* that the scheme was called for and that were not held */
    TALLY_HELD,
    TALLY_NOVEL,    /* further out than the setting novelty */
    TALLY_CLIPPED,  /* beyond the training range: their features were clipped to it */
    TALLY_LIMITED,  /* whose response was scaled */
    TALLY_UNSOUND,  /* not finite or not physical: given to the host's scheme */
    TALLY_RETURNED, /* given to the host's scheme, for whatever reason */
    TALLY_NONE,     /* answered by the emulator: nothing triggers */
    TALLY_SHALLOW,
    TALLY_DEEP,
    TALLY_COUNTS
};

typedef struct sciml_tally sciml_tally;

/* NULL without memory. */
sciml_tally *sciml_tally_new(int32_t levels);
void sciml_tally_free(sciml_tally *tally);

/* Count the columns of some rows by what the emulator said; `returned`: 1 where the host's scheme answers. */
void sciml_tally_count(sciml_tally *tally, const sciml_answer *answer, int32_t columns, double novelty,
                       const uint8_t *returned);

/* Compare the answers to rows with what the host's scheme has put into its arrays (shadow). */
void sciml_tally_compare(sciml_tally *tally, const sciml_tile *tile, int32_t first, int32_t rows,
                         const sciml_answer *answer);

void sciml_tally_seconds(sciml_tally *tally, double original, double emulator);

/* Add what one thread has counted, with the record's lock held. */
void sciml_tally_add(sciml_tally *to, const sciml_tally *from);

/* Write a file of all that was counted since the tally was clear; with the record's lock held. */
int sciml_tally_write(sciml_tally *tally, const sciml_session *session, const sciml_record *record,
                      const char *path, char *message, size_t length);

/* Begin anew. */
void sciml_tally_clear(sciml_tally *tally);

#endif
