/* Sampling of columns, and the file of pairs that sciml.columns.convection_columns reads.
 *
 * A sampled column is a record of the file. All columns of a call are in the file when the call returns, so
 * the file of an interrupted run has all captured calls and can be read. */
#include "wrf/capture.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/netcdf_reader.h"
#include "engine/netcdf_writer.h"
#include "mskf/column_arrays.h"
#include "wrf/wrf_log.h"

#include <string.h>
#include <unistd.h>

const char *sciml_library_facts(void); /* engine/provenance.c */

#define WAITING 64 /* records, at most, before they are written */

enum {
    PROFILES = SCIML_INPUT_PROFILES + SCIML_OUTPUT_PROFILES,
    SURFACES = SCIML_INPUT_SURFACES + SCIML_SCHEME_SURFACES
};

struct sciml_capture {
    int32_t levels, capacity;
    int32_t taken;                     /* for the current file, pending records included */
    int32_t waiting;                   /* records that are not in the file yet */
    int64_t passed_over, written_over; /* drawn, but the file was full; the number in the file */
    int failed;                        /* nothing more goes into this file */
    int with_rates;                    /* the host has kf_edrates = 1 */
    float cudt;
    int32_t stepcu;
    cdf_growing file;
    uint8_t *record; /* the pending records, in the file's byte order */
    size_t record_bytes;
};

#define NAME(symbol, name, units, argument) name
#define UNITS(symbol, name, units, argument) units
static const char *const profile_name[PROFILES] = {SCIML_INPUT_PROFILE_FIELDS(NAME),
                                                   SCIML_OUTPUT_PROFILE_FIELDS(NAME)};
static const char *const profile_units[PROFILES] = {SCIML_INPUT_PROFILE_FIELDS(UNITS),
                                                    SCIML_OUTPUT_PROFILE_FIELDS(UNITS)};
static const char *const surface_name[SURFACES] = {SCIML_INPUT_SURFACE_FIELDS(NAME),
                                                   SCIML_OUTPUT_SURFACE_FIELDS(NAME)};
static const char *const surface_units[SURFACES] = {SCIML_INPUT_SURFACE_FIELDS(UNITS),
                                                    SCIML_OUTPUT_SURFACE_FIELDS(UNITS)};
static const char *const rate_name[SCIML_RATES] = {SCIML_RATE_FIELDS(NAME)};
static const char *const rate_units[SCIML_RATES] = {SCIML_RATE_FIELDS(UNITS)};

/* In the order of `put_record`. */
static void describe(cdf_writer *w, const sciml_capture *c, const sciml_session *session,
                     const sciml_record *record) {
    *w = (cdf_writer){.grows = 1};
    const uint32_t column = sciml_cdf_dimension(w, "column", 1);
    const uint32_t level = sciml_cdf_dimension(w, "bottom_top", (uint32_t)c->levels);
    const cdf_written profile = {.type = CDF_FLOAT, .rank = 2, .dims = {column, level}};
    const cdf_written number = {.type = CDF_FLOAT, .rank = 1, .dims = {column}};
    const cdf_written whole = {.units = "1", .type = CDF_INT, .rank = 1, .dims = {column}};
    sciml_cdf_text(w, "SCIML_LIBRARY", sciml_library_facts());
    sciml_cdf_text(w, "TITLE", "input-output pairs of MSKF_CPS captured in the host by libsciml_mskf");
    sciml_cdf_number(w, "DX", record->dx, 0);
    sciml_cdf_number(w, "DT", record->dt, 0);
    sciml_cdf_number(w, "CUDT", c->cudt, 0);
    sciml_cdf_number(w, "STEPCU", c->stepcu, 1);
    sciml_cdf_number(w, "CU_PHYSICS", SCIML_CU_PHYSICS, 1);
    sciml_cdf_number(w, "SCIML_RANK", session->rank, 1);
    sciml_cdf_number(w, "SCIML_PASSED_OVER", (double)c->passed_over, 0);
    sciml_cdf_text(
        w, "COMMENT",
        "Inputs are the arguments on entry, W0AVG the value that the scheme used (after its own update; "
        "W0AVG_IN: before). WEIGHT is one over the "
        "probability of having been drawn. NCA is -100 where nothing triggered. "
        "SCIML_PASSED_OVER columns were drawn beyond the limit capture_columns.");
#define VARIABLE(form, ...)                                                                                  \
    do {                                                                                                     \
        cdf_written v = form;                                                                                \
        const char *const words[] = {__VA_ARGS__};                                                           \
        v.name = words[0];                                                                                   \
        if (words[1]) v.units = words[1];                                                                    \
        v.text = words[2];                                                                                   \
        sciml_cdf_values(w, &v);                                                                             \
    } while (0)
    for (int f = 0; f < PROFILES; f++)
        VARIABLE(profile, profile_name[f], profile_units[f], NULL);
    for (int f = 0; f < SURFACES; f++)
        VARIABLE(number, surface_name[f], surface_units[f], NULL);
    VARIABLE(profile, "W0AVG_IN", "m s-1", "before the call");
    VARIABLE(number, "NCA_IN", "s", "before the call");
    VARIABLE(number, "WEIGHT", "1", "one over the probability of having been drawn");
    VARIABLE(number, "XTIME", "min", "since the start of the run");
    VARIABLE(whole, "ITIMESTEP", NULL, NULL);
    VARIABLE(whole, "RUN", NULL, "the run of the column");
    VARIABLE(whole, "J", NULL, NULL);
    VARIABLE(whole, "I", NULL, NULL);
    for (int f = 0; f < SCIML_RATES && c->with_rates; f++)
        VARIABLE(profile, rate_name[f], rate_units[f], "of the grid box, as with kf_edrates = 1");
    if (c->with_rates) VARIABLE(number, "TIMEC_KF", "s", "adjustment time");
#undef VARIABLE
}

sciml_capture *sciml_capture_new(const sciml_settings *settings, int32_t levels, int with_rates) {
    sciml_capture *c = sciml_take_zeroed(1, sizeof *c);
    if (!c) return NULL;
    const size_t profiles = PROFILES + 1 + (with_rates ? SCIML_RATES : 0);
    const size_t numbers = SURFACES + 7 + (with_rates ? 1 : 0);
    c->levels = levels;
    c->with_rates = with_rates;
    c->capacity = settings->capture_columns;
    c->file.file = -1;
    c->record_bytes = 4 * (profiles * (size_t)levels + numbers);
    c->record = sciml_take(WAITING * c->record_bytes);
    if (!c->record) c->capacity = 0; /* no memory: no column is captured, all are counted */
    return c;
}

/* A number in [0, 1) for a position and a step: the mixing of "SplitMix64" (Steele, Lea and Flood 2014). */
static double drawn(int32_t i, int32_t j, int32_t step, int32_t seed) {
    const uint64_t parts[] = {(uint32_t)i, (uint32_t)j, (uint32_t)step};
    uint64_t z = (uint64_t)(uint32_t)seed;
    for (int n = 0; n < 3; n++) {
        z += 0x9e3779b97f4a7c15u + parts[n];
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
    }
    return (double)(z >> 11) * 0x1p-53;
}

static uint8_t *put_profile(uint8_t *to, const float *from, ptrdiff_t apart, int32_t levels) {
    for (int32_t k = 0; k < levels; k++)
        to = sciml_cdf_put(to, &from[k * apart]);
    return to;
}

/* One column, in the order of `describe`. */
static void put_record(sciml_capture *c, const sciml_tile *t, int32_t i, int32_t j, int kind, float weight,
                       int32_t run, const sciml_before *before) {
    const ptrdiff_t columns = (ptrdiff_t)t->ni * t->nj, at = (ptrdiff_t)j * t->ni + i;
    const float minutes = (float)((double)t->step * t->dt / 60.0), none = -100.0f;
    const int32_t places[] = {t->step, run, t->j0 + j, t->i0 + i};
    uint8_t *to = c->record + (size_t)c->waiting * c->record_bytes;
    for (int f = 0; f < PROFILES; f++) {
        const int argument = f < SCIML_INPUT_PROFILES
                                 ? sciml_input_profile_arguments[f]
                                 : sciml_output_profile_arguments[f - SCIML_INPUT_PROFILES];
        to = put_profile(to, tile_profile(t, argument, i, j), t->s3[1], c->levels);
    }
    for (int f = 0; f < SURFACES; f++) {
        const int argument = f < SCIML_INPUT_SURFACES
                                 ? sciml_input_surface_arguments[f]
                                 : sciml_output_surface_arguments[f - SCIML_INPUT_SURFACES];
        /* where nothing triggers the scheme does not change NCA, which could be read as a hold of a fraction
         * of a step */
        const int untouched = kind == 0 && argument == ARG_nca;
        to = sciml_cdf_put(to, untouched ? &none : tile_surface(t, argument, i, j));
    }
    to = put_profile(to, before->w0avg + at, columns, c->levels);
    to = sciml_cdf_put(to, &before->nca[at]);
    to = sciml_cdf_put(to, &weight);
    to = sciml_cdf_put(to, &minutes);
    for (int n = 0; n < 4; n++)
        to = sciml_cdf_put(to, &places[n]);
    for (int f = 0; f < SCIML_RATES && c->with_rates; f++)
        to = put_profile(to, tile_profile(t, sciml_rate_arguments[f], i, j), t->s3[1], c->levels);
    if (c->with_rates) sciml_cdf_put(to, tile_surface(t, ARG_timec, i, j));
    c->waiting++;
    c->taken++;
}

/* Append the pending records to the file, which the first ones create; the caller holds the record's lock. */
static void write_waiting(sciml_capture *c, sciml_session *session, const sciml_record *record) {
    char why[SCIML_MESSAGE_SIZE];
    int status = SCIML_OK;
    if (!c->waiting || c->failed) {
        c->waiting = 0;
        return;
    }
    if (c->file.file < 0) {
        char path[CDF_PATH_SIZE];
        cdf_writer w;
        sciml_record_path(session, record, path, sizeof path);
        describe(&w, c, session, record);
        status = sciml_cdf_begin(&c->file, &w, path, why, sizeof why);
    }
    if (!status) status = sciml_cdf_append(&c->file, c->record, (uint32_t)c->waiting, why, sizeof why);
    c->waiting = 0;
    c->failed = status != SCIML_OK;
    if (status) sciml_not_written(session, why);
}

/* The number of columns passed over, where it has changed. */
static void write_passed_over(sciml_capture *c, sciml_session *session, const sciml_record *record) {
    char why[SCIML_MESSAGE_SIZE];
    cdf_writer w;
    if (c->file.file < 0 || c->failed || c->passed_over == c->written_over) return;
    describe(&w, c, session, record);
    if (sciml_cdf_rewrite(&c->file, &w, why, sizeof why)) sciml_not_written(session, why);
    c->written_over = c->passed_over;
}

void sciml_capture_take(sciml_session *session, sciml_record *record, const sciml_tile *t,
                        const sciml_before *before) {
    const sciml_settings *s = &session->settings;
    sciml_capture *c = record->capture;
    if (!c || t->nk != record->levels || t->step < s->capture_first || t->step > s->capture_last ||
        (t->step - s->capture_first) % s->capture_every != 0 || (c->with_rates && !sciml_tile_wants_rates(t)))
        return;
    for (int32_t j = 0; j < t->nj; j++)
        for (int32_t i = 0; i < t->ni; i++) {
            if (before->held[(ptrdiff_t)j * t->ni + i]) continue;
            const int kind = sciml_tile_kind(t, i, j);
            if (drawn(t->i0 + i, t->j0 + j, t->step, s->seed) >= s->capture[kind]) continue;
            pthread_mutex_lock(&record->lock);
            c->cudt = t->cudt;
            c->stepcu = argument_integer(t->a, ARG_stepcu);
            if (c->waiting == WAITING) write_waiting(c, session, record);
            if (c->taken < c->capacity)
                put_record(c, t, i, j, kind, (float)(1.0 / s->capture[kind]), s->run, before);
            else
                c->passed_over++;
            pthread_mutex_unlock(&record->lock);
        }
    sciml_capture_write(session, record);
}

void sciml_capture_write(sciml_session *session, sciml_record *record) {
    pthread_mutex_lock(&record->lock);
    write_waiting(record->capture, session, record);
    write_passed_over(record->capture, session, record);
    pthread_mutex_unlock(&record->lock);
}

void sciml_capture_close(sciml_capture *c, sciml_session *session, const sciml_record *record) {
    write_waiting(c, session, record);
    write_passed_over(c, session, record);
    if (c->passed_over && session->rank == 0)
        sciml_announce(
            "%lld drawn columns were passed over: %s has the maximum, capture_columns = %d; capture "
            "less or more often",
            (long long)c->passed_over, c->file.path, c->capacity);
    if (c->file.file >= 0) fsync(c->file.file);
    sciml_cdf_end(&c->file);
    c->taken = 0;
    c->passed_over = c->written_over = 0;
    c->failed = 0;
}
