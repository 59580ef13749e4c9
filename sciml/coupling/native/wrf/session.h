/* The state of a process that runs the scheme through this library: settings, emulator, the original scheme,
 * and a record for each of the host's domains. host_run.c makes it at the first call; other callers wait. */
#ifndef SCIML_SESSION_H
#define SCIML_SESSION_H

#include "sciml_mskf.h"
#include "wrf/sciml_mskf_arguments.h"
#include "wrf/settings.h"

#include <pthread.h>
#include <stdatomic.h>

#define SCIML_MESSAGE_SIZE 512
#define SCIML_MOST_DOMAINS 32

/* The symbol of the scheme, by compiler. */
#define SCIML_GNU_SCHEME "__module_cu_mskf_MOD_mskf_cps"
#define SCIML_INTEL_SCHEME "module_cu_mskf_mp_mskf_cps_"

/* The host's compiler, which sets the symbol of the scheme and the value of .TRUE. */
typedef enum sciml_naming { NAMED_BY_GNU, NAMED_BY_INTEL } sciml_naming;

struct sciml_capture;
struct sciml_tally;

/* One of the host's domains (a nest has its own size and DX). */
typedef struct sciml_record {
    int32_t nx, ny; /* mass points */
    float dx, dt;
    int32_t levels;
    pthread_mutex_t lock; /* for all members below */
    int64_t interval;     /* the number of the current one, -1 before the first */
    int32_t first_step, last_step;
    struct sciml_capture *capture; /* NULL in modes without captures */
    struct sciml_tally *tally;
} sciml_record;

typedef struct sciml_session {
    sciml_settings settings;
    sciml_mskf *emulator;     /* NULL in the modes without an emulator */
    _Atomic(int) mode;        /* of enum sciml_mode; MODE_ORIGINAL after a failure */
    _Atomic(int) not_written; /* a capture or statistics file failed: reported once */
    sciml_scheme original;    /* NULL where the host does not export it */
    int32_t rank, yes;        /* yes: the host's .TRUE. */
    pthread_mutex_t lock;     /* for the number of records, and the failure */
    int failed;               /* the status that ended the mode, 0 if none did */
    char failure[SCIML_MESSAGE_SIZE];
    int records;
    sciml_record record[SCIML_MOST_DOMAINS];
} sciml_session;

/* Report a failure and, by the settings, stop the host or use its own scheme from here on. */
void sciml_give_up(sciml_session *session, const char *why);

/* Run the host's own scheme on the call's arguments; 0 where there is none. */
int sciml_original(const sciml_session *session, void *const a[]);

/* The path of the record's file of this interval. */
void sciml_record_path(const sciml_session *session, const sciml_record *record, char *path, size_t size);

/* Report, once, that a capture or statistics file failed, which does not change the host's fields. */
void sciml_not_written(sciml_session *session, const char *why);

/* The name of a mode in the namelist. */
const char *sciml_mode_name(int mode);

#endif
