/* The run of the host that calls the scheme: its set-up at the first call, its domains, and its end. */
#define _GNU_SOURCE
#include "wrf/host_run.h"
#include "engine/netcdf_writer.h"
#include "mskf/handle.h"
#include "wrf/capture.h"
#include "wrf/namelist.h"
#include "wrf/statistics.h"
#include "wrf/wrf_log.h"
#include "wrf/wrf_patch.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const scheme_name[] = {SCIML_GNU_SCHEME, SCIML_INTEL_SCHEME};

static sciml_session session = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(int) called, made;

static void announce_line(const char *text) {
    sciml_announce("%s", text);
}

/* Look up the scheme of the host by the name that the compiler gives it; the executable must export it. */
static sciml_scheme find_original(sciml_naming naming) {
    sciml_scheme scheme;
    *(void **)&scheme = dlsym(RTLD_DEFAULT, scheme_name[naming]);
    if (!scheme) *(void **)&scheme = dlsym(RTLD_DEFAULT, scheme_name[1 - naming]);
    return scheme;
}

static int near_to(double x, double y) {
    return fabs(x - y) <= 1e-4 * fabs(y);
}

/* Check that REAL has 4 bytes, by the physical constants that WRF passes; NULL if it has. */
static const char *check_reals(void *const a[], char *why) {
    const double r = 287.0, g = 9.81, zero = 273.15;
    if (near_to(argument_real(a, ARG_r), r) && near_to(argument_real(a, ARG_g), g) &&
        near_to(argument_real(a, ARG_svpt0), zero))
        return NULL;
    double long_r;
    memcpy(&long_r, a[ARG_r], sizeof long_r);
    if (near_to(long_r, r))
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "this host has REAL of 8 bytes (its gas constant as an 8-byte REAL is %.8g): the "
                 "library is for "
                 "WRF's default REAL of 4 bytes; configure WRF without -r8",
                 long_r);
    else
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "the scheme's constants are not WRF's: R = %g, G = %g, SVPT0 = %g, not 287, 9.81 and "
                 "273.15: use WRF 4.3.3 to 4.7",
                 argument_real(a, ARG_r), argument_real(a, ARG_g), argument_real(a, ARG_svpt0));
    return why;
}

/* Check the options that no emulator was trained with; NULL if none is set. */
static const char *check_options(void *const a[], char *why) {
    const int aerosols = argument_integer(a, ARG_aercu_opt);
    if (aerosols != 0)
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "aercu_opt = %d: emulators are trained without aerosols; set aercu_opt = 0", aerosols);
    else if (argument_true(a, ARG_warm_rain) || !argument_true(a, ARG_f_qr) || !argument_true(a, ARG_f_qi) ||
             !argument_true(a, ARG_f_qs))
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "warm_rain %s, F_QR %s, F_QI %s, F_QS %s: emulators are trained with microphysics that has "
                 "rain, ice and snow; choose mp_physics 6, 8 or 10",
                 argument_true(a, ARG_warm_rain) ? "T" : "F", argument_true(a, ARG_f_qr) ? "T" : "F",
                 argument_true(a, ARG_f_qi) ? "T" : "F", argument_true(a, ARG_f_qs) ? "T" : "F");
    else
        return NULL;
    return why;
}

static int runs_emulator(int mode) {
    return mode == MODE_SHADOW || mode == MODE_EMULATE || mode == MODE_GUARD;
}

/* Check that the chosen mode is possible; NULL if it is, else the reason. */
static const char *check_mode(sciml_session *s, void *const a[], char *why) {
    const int mode = atomic_load(&s->mode);
    if (mode == MODE_ORIGINAL) return NULL;
    const char *wrong = check_reals(a, why);
    if (!wrong && runs_emulator(mode)) wrong = check_options(a, why);
    if (wrong) return wrong;
    if (runs_emulator(mode) && sciml_mskf_init(s->settings.weights, &s->emulator, why, SCIML_MESSAGE_SIZE))
        return why;
    if (s->emulator && !s->emulator->emulator) {
        snprintf(
            why, SCIML_MESSAGE_SIZE,
            "%.200s contains a bare network, not the whole emulator: export one with `sciml coupling export`",
            s->settings.weights);
        return why;
    }
    if (mode != MODE_EMULATE && !s->original) {
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "mode = '%s' needs the host's own scheme, but the executable does not export %s: link with "
                 "the flags that "
                 "`sciml coupling flags` prints",
                 sciml_mode_name(mode), scheme_name[0]);
        return why;
    }
    if (access(s->settings.directory, W_OK) != 0) {
        snprintf(why, SCIML_MESSAGE_SIZE,
                 "cannot write into directory = '%.200s': create it, or give another in the namelist",
                 s->settings.directory);
        return why;
    }
    return NULL;
}

static void read_settings(sciml_session *s, char *why, int *status) {
    const char *path = sciml_namelist_path();
    *status = sciml_settings_read(path, &s->settings, why, SCIML_MESSAGE_SIZE);
    if (*status) sciml_settings_default(&s->settings);
    /* With an invalid namelist the setting on_failure is unknown, so the host is stopped. */
    if (*status == SCIML_ARGUMENT) s->settings.stop = 1;
    if (s->rank == 0 && !*status) {
        sciml_announce("settings, from %.900s:", path);
        sciml_settings_describe(&s->settings, announce_line);
    }
}

static void announce_weights(const sciml_session *s) {
    static const char *const absent[SCIML_EMULATOR_KINDS] = {
        [SCIML_BILSTM] = "rates of entrainment and the convective time scale (kf_edrates = 1)",
        [SCIML_PUBLISHED] =
            "RUCUTEN, RVCUTEN, CLDFRA_DP, CLDFRA_SH, QC_CU, QI_CU, the levels of the cloud's top and "
            "base, rates of entrainment and the convective time scale (kf_edrates = 1)"};
    const sciml_emulator *e = s->emulator->emulator;
    char levels[40] = "any number of levels";
    if (e->kind == SCIML_PUBLISHED)
        snprintf(levels, sizeof levels, "%d levels", s->emulator->network.pool_levels);
    sciml_announce(
        "weights %.400s, for %s, trained with DX %g to %g m, DT %g to %g s, CUDT %g to %g min; %s kernels",
        s->settings.weights, levels, e->trained[0][0], e->trained[0][1], e->trained[1][0], e->trained[1][1],
        e->trained[2][0], e->trained[2][1], sciml_mskf_isa(s->emulator));
    if (absent[e->kind])
        sciml_announce("the emulator does not predict %s: the host gets zero", absent[e->kind]);
}

static void make(sciml_session *s, void *const a[], sciml_naming naming) {
    char why[SCIML_MESSAGE_SIZE];
    int status;
    s->yes = naming == NAMED_BY_INTEL ? -1 : 1;
    if (!s->original) s->original = find_original(naming);
    s->rank = sciml_rank();
    read_settings(s, why, &status);
    atomic_store(&s->mode,
                 status ? MODE_EMULATE : s->settings.mode); /* not original, so that sciml_give_up reports */
    if (status) {
        sciml_give_up(s, why);
        if (status == SCIML_FILE && s->rank == 0) sciml_namelist_explain();
        return;
    }
    const char *wrong = check_mode(s, a, why);
    if (wrong) {
        sciml_give_up(s, wrong);
        return;
    }
    if (s->rank == 0 && s->emulator) announce_weights(s);
}

sciml_session *sciml_session_of(void *const a[], sciml_naming naming) {
    if (!atomic_load_explicit(&made, memory_order_acquire)) {
        pthread_mutex_lock(&making);
        if (!atomic_load_explicit(&made, memory_order_relaxed)) {
            atomic_store(&called, 1);
            make(&session, a, naming);
            atomic_store_explicit(&made, 1, memory_order_release);
        }
        pthread_mutex_unlock(&making);
    }
    return &session;
}

void sciml_mskf_original(void (*scheme)(void)) {
    pthread_mutex_lock(&making);
    session.original = (sciml_scheme)scheme;
    pthread_mutex_unlock(&making);
}

void sciml_mskf_flush(void) {
    if (atomic_load_explicit(&made, memory_order_acquire)) sciml_flush(&session);
}

/* Warn of differences from the training, once for each domain; the run goes on. */
static void warn(const sciml_session *s, const sciml_record *r, void *const a[]) {
    static const char *const names[] = {"DX", "DT", "CUDT"};
    const sciml_emulator *e = s->emulator ? s->emulator->emulator : NULL;
    if (!e || s->rank != 0) return;
    const double here[] = {r->dx, r->dt, argument_real(a, ARG_cudt)};
    for (int n = 0; n < 3; n++)
        if (isless(here[n], 0.999 * e->trained[n][0]) || isgreater(here[n], 1.001 * e->trained[n][1]))
            sciml_announce(
                "WARNING: %s is %g, the emulator was trained with %g to %g: larger errors are likely",
                names[n], here[n], e->trained[n][0], e->trained[n][1]);
}

sciml_record *sciml_record_of(sciml_session *s, void *const a[]) {
    const int32_t nx = argument_integer(a, ARG_ide) - argument_integer(a, ARG_ids);
    const int32_t ny = argument_integer(a, ARG_jde) - argument_integer(a, ARG_jds);
    const float dx = argument_real(a, ARG_dx);
    sciml_record *record = NULL;
    pthread_mutex_lock(&s->lock);
    for (int n = 0; n < s->records && !record; n++)
        if (s->record[n].nx == nx && s->record[n].ny == ny && s->record[n].dx == dx) record = &s->record[n];
    if (!record && s->records < SCIML_MOST_DOMAINS) {
        record = &s->record[s->records++];
        *record =
            (sciml_record){.nx = nx, .ny = ny, .dx = dx, .dt = argument_real(a, ARG_dt), .interval = -1};
        record->levels = argument_integer(a, ARG_kte) - argument_integer(a, ARG_kts) + 1;
        pthread_mutex_init(&record->lock, NULL);
        const int mode = atomic_load(&s->mode);
        const sciml_tile tile = sciml_tile_of(a);
        if (mode == MODE_CAPTURE)
            record->capture = sciml_capture_new(&s->settings, record->levels, sciml_tile_wants_rates(&tile));
        if (runs_emulator(mode)) record->tally = sciml_tally_new(record->levels);
        warn(s, record, a);
    }
    pthread_mutex_unlock(&s->lock);
    return record;
}

/* Write the file of the interval so far; the caller holds the record's lock. */
static void write_statistics(sciml_session *s, sciml_record *r) {
    char path[CDF_PATH_SIZE], why[SCIML_MESSAGE_SIZE];
    if (!r->tally) return;
    sciml_record_path(s, r, path, sizeof path);
    if (sciml_tally_write(r->tally, s, r, path, why, sizeof why)) sciml_not_written(s, why);
}

void sciml_flush(sciml_session *s) {
    pthread_mutex_lock(&s->lock);
    const int records = s->records;
    pthread_mutex_unlock(&s->lock);
    for (int n = 0; n < records; n++) {
        sciml_record *r = &s->record[n];
        if (r->capture) sciml_capture_write(s, r);
        pthread_mutex_lock(&r->lock);
        write_statistics(s, r);
        pthread_mutex_unlock(&r->lock);
    }
}

/* Write the files when the process ends, or unloads the library. A destructor takes no space in the C
 * library's list, unlike atexit, and does not run where a process is killed or aborts. */
__attribute__((destructor)) static void end(void) {
    if (!atomic_load_explicit(&called, memory_order_acquire)) {
        sciml_namelist_not_used();
        return;
    }
    if (!atomic_load_explicit(&made, memory_order_acquire))
        return; /* the host stops before the session is made */
    sciml_flush(&session);
    for (int n = 0; n < session.records; n++)
        if (session.record[n].capture) {
            pthread_mutex_lock(&session.record[n].lock);
            sciml_capture_close(session.record[n].capture, &session, &session.record[n]);
            pthread_mutex_unlock(&session.record[n].lock);
        }
}

void sciml_turn_over(sciml_session *s, sciml_record *r, void *const a[]) {
    const int32_t step = argument_integer(a, ARG_ktau);
    const double minutes = (double)step * argument_real(a, ARG_dt) / 60.0;
    const int64_t interval = (int64_t)floor(minutes / s->settings.interval);
    pthread_mutex_lock(&r->lock);
    if (interval != r->interval) {
        if (r->interval >= 0) {
            write_statistics(s, r);
            if (r->tally) sciml_tally_clear(r->tally);
            if (r->capture) sciml_capture_close(r->capture, s, r);
        }
        r->interval = interval;
        r->first_step = step;
    }
    r->last_step = step;
    pthread_mutex_unlock(&r->lock);
}
