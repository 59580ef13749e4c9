/* Captured columns: what the scheme read and what it returned, drawn and written as exact training pairs. */
#ifndef SCIML_CAPTURE_H
#define SCIML_CAPTURE_H

#include "session.h"
#include "tile.h"

typedef struct sciml_capture sciml_capture;

/* NULL without memory. */
sciml_capture *sciml_capture_new(const sciml_settings *settings, int32_t levels);

/* The tile before the call: NCA (columns i fastest), W0AVG (the same, level by level), and 1 where a column
 * is held. */
typedef struct sciml_before {
    const float *nca, *w0avg;
    const uint8_t *held;
} sciml_before;

/* Draw from the columns of a tile that the original scheme has just evaluated. What is drawn depends on the
 * place, the step and the seed alone, not on tiles or ranks. */
void sciml_capture_take(sciml_session *session, sciml_record *record, const sciml_tile *tile,
                        const sciml_before *before);

/* Write what was taken since the last time into a file, if anything was; with the record's lock held. */
int sciml_capture_write(sciml_capture *capture, const sciml_session *session, const sciml_record *record,
                        const char *path, char *message, size_t length);

#endif
