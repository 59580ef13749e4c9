/* The run of the host that calls the scheme: its set-up at the first call, its domains, and its end. */
#ifndef SCIML_HOST_RUN_H
#define SCIML_HOST_RUN_H

#include "wrf/session.h"

/* The session, which the first call makes. Never NULL. */
sciml_session *sciml_session_of(void *const a[], sciml_naming naming);

/* The record of the domain that a call is for; NULL where there are too many. Warns, once for each domain, of
 * differences from the training. */
sciml_record *sciml_record_of(sciml_session *session, void *const a[]);

/* Note the step of a call: where it begins another interval, write the file of the last one. */
void sciml_turn_over(sciml_session *session, sciml_record *record, void *const a[]);

/* Write the pending captures and statistics of all domains; safe to call at any time, and called when the
 * process ends. */
void sciml_flush(sciml_session *session);

#endif
