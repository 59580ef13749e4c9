/* What a process that runs the scheme through this library has: settings, emulator, the original scheme, and
 * a record for each of the host's domains. Made once, at the first call; the first caller makes it, others
 * wait. */
#ifndef SCIML_SESSION_H
#define SCIML_SESSION_H

#include "sciml_mskf.h"
#include "wrf/sciml_mskf_arguments.h"
#include "wrf/settings.h"

#include <pthread.h>
#include <stdatomic.h>

#define SCIML_MESSAGE_ROOM 512
#define SCIML_MOST_DOMAINS 32

/* What compilers call the scheme. */
#define SCIML_GNU_SCHEME "__module_cu_mskf_MOD_mskf_cps"
#define SCIML_INTEL_SCHEME "module_cu_mskf_mp_mskf_cps_"

/* Which compiler the host has: how it names the scheme, and what its .TRUE. is. */
typedef enum sciml_naming { NAMED_BY_GNU, NAMED_BY_INTEL } sciml_naming;

struct sciml_capture;
struct sciml_tally;

/* One of the host's domains (a nest has its own size and DX). */
typedef struct sciml_record {
    int32_t nx, ny; /* mass points */
    float dx, dt;
    int32_t levels;
    pthread_mutex_t lock; /* of all that follows */
    int64_t interval;     /* the number of the current one, -1 before the first */
    int32_t first_step, last_step;
    struct sciml_capture *capture; /* NULL in modes without */
    struct sciml_tally *tally;
} sciml_record;

typedef struct sciml_session {
    sciml_settings settings;
    sciml_mskf *emulator;     /* NULL in the modes without */
    _Atomic(int) mode;        /* of enum sciml_mode; MODE_ORIGINAL after a failure */
    _Atomic(int) not_written; /* a capture or statistics file failed: said once */
    sciml_scheme original;    /* NULL where the host does not show it */
    int32_t rank, yes;        /* yes: the host's .TRUE. */
    pthread_mutex_t lock;     /* of the records' number, and of the failure */
    int failed;               /* the status that ended the mode, 0 as long as none did */
    char failure[SCIML_MESSAGE_ROOM];
    int records;
    sciml_record record[SCIML_MOST_DOMAINS];
} sciml_session;

/* Something cannot go on: tell why and, by the settings, stop the host or go over to its own scheme for good.
 */
void sciml_give_up(sciml_session *session, const char *why);

/* Run the host's own scheme on the call's arguments; 0 where there is none. */
int sciml_original(const sciml_session *session, void *const a[]);

/* Where the record's file of this interval goes. */
void sciml_record_path(const sciml_session *session, const sciml_record *record, char *path, size_t size);

/* Announce, once, that a capture or statistics file failed, which does not concern the host's answers. */
void sciml_not_written(sciml_session *session, const char *why);

/* As the namelist has it. */
const char *sciml_mode_name(int mode);

#endif
