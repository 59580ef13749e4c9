/* Captured columns: inputs and outputs of the scheme, drawn and written as exact training pairs. */
#ifndef SCIML_CAPTURE_H
#define SCIML_CAPTURE_H

#include "wrf/session.h"
#include "wrf/wrf_patch.h"

typedef struct sciml_capture sciml_capture;

/* NULL without memory. `with_rates`: the host fills UDR_KF, DDR_KF, UER_KF, DER_KF and TIMEC_KF. */
sciml_capture *sciml_capture_new(const sciml_settings *settings, int32_t levels, int with_rates);

/* The tile before the call: NCA (columns i fastest), W0AVG (the same, level by level), and 1 where a column
 * is held. */
typedef struct sciml_before {
    const float *nca, *w0avg;
    const uint8_t *held;
} sciml_before;

/* Draw from the columns of a tile that the original scheme has just evaluated, and write them. The
 * draw depends on the position, the step and the seed alone, not on tiles or ranks. */
void sciml_capture_take(sciml_session *session, sciml_record *record, const sciml_tile *tile,
                        const sciml_before *before);

/* Write the pending columns; the file stays open. */
void sciml_capture_write(sciml_session *session, sciml_record *record);

/* The same, and close the file; later columns go into another. The caller holds the record's lock. */
void sciml_capture_close(sciml_capture *capture, sciml_session *session, const sciml_record *record);

#endif
