/* Sums by output and level, and their file, which `sciml coupling report` reads. */
#include "wrf/statistics.h"
#include "engine/arena.h"
#include "engine/message.h"
#include "engine/netcdf_reader.h"
#include "engine/netcdf_writer.h"

#include <math.h>
#include <string.h>

enum { MOMENT_TRUTH, MOMENT_TRUTH_SQUARED, MOMENT_ERROR, MOMENT_ERROR_SQUARED, MOMENT_LARGEST, MOMENTS };
enum { SURFACES = SCIML_SCHEME_SURFACES, KINDS = SCIML_CLASSES };
#define NAME(symbol, name, units, argument) name
static const char *const profile_name[] = {SCIML_OUTPUT_PROFILE_FIELDS(NAME)};
static const char *const surface_name[] = {SCIML_OUTPUT_SURFACE_FIELDS(NAME)};
static const char *const count_name[TALLY_COUNTS] = {"COLUMNS", "HELD",     "NOVEL", "OUTSIDE", "LIMITED",
                                                     "UNSOUND", "RETURNED", "NONE",  "SHALLOW", "DEEP"};
static const char *const count_text[TALLY_COUNTS] = {
    "columns that were not held",
    "held columns, in which no scheme is called",
    "columns of more novelty than the setting (the attribute NOVELTY_LIMIT)",
    "columns of novelty above 1, unlike those of the training",
    "columns whose response the limits scaled",
    "columns that are not finite or not physical",
    "columns in which the host's own scheme was used",
    "columns in which the emulator had no convection",
    "columns in which the emulator had shallow convection",
    "columns in which the emulator had deep convection"};

struct sciml_tally {
    int32_t levels;
    double count[TALLY_COUNTS];
    double confusion[KINDS][KINDS]; /* truth, emulator */
    double novelty, seconds[2], rain[2];
    double *profile; /* (output, moment, level) over the columns where either triggered */
    double *height;  /* (level), m, summed over the same columns; stored behind `profile` */
    double surface[SURFACES][MOMENTS];
};

static double *moments(const sciml_tally *t, int output, int moment) {
    return t->profile + ((ptrdiff_t)output * MOMENTS + moment) * t->levels;
}

static size_t profile_bytes(const sciml_tally *t) {
    return sizeof(double) * (SCIML_OUTPUT_PROFILES * MOMENTS + 1) * (size_t)t->levels;
}

sciml_tally *sciml_tally_new(int32_t levels) {
    sciml_tally *t = sciml_take_zeroed(1, sizeof *t);
    if (!t) return NULL;
    t->levels = levels;
    t->profile = sciml_take_zeroed(1, profile_bytes(t));
    if (!t->profile) {
        sciml_give(t);
        return NULL;
    }
    t->height = moments(t, SCIML_OUTPUT_PROFILES, 0);
    return t;
}

void sciml_tally_free(sciml_tally *t) {
    if (t) sciml_give(t->profile);
    sciml_give(t);
}

void sciml_tally_count(sciml_tally *t, const sciml_answer *answer, int32_t columns, double novelty,
                       const uint8_t *returned) {
    for (int32_t n = 0; n < columns; n++) {
        if (answer->kind[n] == 3) {
            t->count[TALLY_HELD]++;
            continue;
        }
        const double far = (double)answer->surface[SCIML_NOVELTY][n];
        t->count[TALLY_COLUMNS]++;
        t->count[TALLY_UNSOUND] += answer->kind[n] < 0;
        t->count[TALLY_LIMITED] += answer->share[n] < 1.0f;
        t->count[TALLY_RETURNED] += returned && returned[n];
        if (answer->kind[n] < 0) continue; /* infinite */
        if (!returned || !returned[n]) t->count[TALLY_NONE + answer->kind[n]]++;
        t->count[TALLY_NOVEL] += far > novelty;
        t->count[TALLY_OUTSIDE] += far > 1.0;
        if (far > t->novelty) t->novelty = far;
    }
}

static void moment(double *to, ptrdiff_t apart, double truth, double emulated) {
    const double error = emulated - truth;
    to[MOMENT_TRUTH * apart] += truth;
    to[MOMENT_TRUTH_SQUARED * apart] += truth * truth;
    to[MOMENT_ERROR * apart] += error;
    to[MOMENT_ERROR_SQUARED * apart] += error * error;
    if (fabs(error) > to[MOMENT_LARGEST * apart]) to[MOMENT_LARGEST * apart] = fabs(error);
}

static void compare(sciml_tally *t, const sciml_tile *tile, int32_t i, int32_t j, const sciml_answer *answer,
                    int32_t n, int32_t columns) {
    const int truth = sciml_tile_kind(tile, i, j), emulated = answer->kind[n];
    t->confusion[truth][emulated]++;
    t->rain[0] += (double)*tile_surface(tile, ARG_pratec, i, j) * (double)tile->dt;
    t->rain[1] += (double)answer->surface[SCIML_PRATEC][n] * (double)tile->dt;
    if (truth == 0 && emulated == 0) return;
    const float *dz = tile_profile(tile, ARG_dz8w, i, j);
    double face = 0;
    for (int k = 0; k < t->levels; k++) {
        const double thickness = (double)dz[k * tile->s3[1]];
        t->height[k] += face + 0.5 * thickness;
        face += thickness;
    }
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++) {
        const float *from = tile_profile(tile, sciml_output_profile_arguments[f], i, j);
        for (int k = 0; k < t->levels; k++)
            moment(moments(t, f, 0) + k, t->levels, (double)from[k * tile->s3[1]],
                   (double)answer->profile[f][n + (ptrdiff_t)k * columns]);
    }
    for (int f = 0; f < SURFACES; f++) {
        /* Without convection a level has no value, and NCA is from an earlier call. */
        if ((f == SCIML_CUTOP || f == SCIML_CUBOT) && (truth == 0 || emulated == 0)) continue;
        const double scheme = (double)*tile_surface(tile, sciml_output_surface_arguments[f], i, j);
        const double emulator = (double)answer->surface[f][n];
        const int nca = f == SCIML_NCA;
        moment(t->surface[f], 1, nca && truth == 0 ? 0 : scheme, nca && emulated == 0 ? 0 : emulator);
    }
}

void sciml_tally_compare(sciml_tally *t, const sciml_tile *tile, int32_t first, int32_t rows,
                         const sciml_answer *answer) {
    for (int32_t n = 0; n < rows * tile->ni; n++)
        if (answer->kind[n] >= 0 && answer->kind[n] < KINDS)
            compare(t, tile, n % tile->ni, first + n / tile->ni, answer, n, rows * tile->ni);
}

void sciml_tally_seconds(sciml_tally *t, double original, double emulator) {
    t->seconds[0] += original;
    t->seconds[1] += emulator;
}

void sciml_tally_add(sciml_tally *to, const sciml_tally *from) {
    for (int n = 0; n < TALLY_COUNTS; n++)
        to->count[n] += from->count[n];
    for (int n = 0; n < KINDS * KINDS; n++)
        to->confusion[n / KINDS][n % KINDS] += from->confusion[n / KINDS][n % KINDS];
    for (int n = 0; n < 2; n++) {
        to->seconds[n] += from->seconds[n];
        to->rain[n] += from->rain[n];
    }
    if (from->novelty > to->novelty) to->novelty = from->novelty;
    for (int k = 0; k < to->levels; k++)
        to->height[k] += from->height[k];
    for (int f = 0; f < SCIML_OUTPUT_PROFILES + SURFACES; f++)
        for (int m = 0; m < MOMENTS; m++) {
            const int profile = f < SCIML_OUTPUT_PROFILES;
            double *x = profile ? moments(to, f, m) : &to->surface[f - SCIML_OUTPUT_PROFILES][m];
            const double *y = profile ? moments(from, f, m) : &from->surface[f - SCIML_OUTPUT_PROFILES][m];
            for (int k = 0; k < (profile ? to->levels : 1); k++)
                x[k] = m == MOMENT_LARGEST ? (y[k] > x[k] ? y[k] : x[k]) : x[k] + y[k];
        }
}

void sciml_tally_clear(sciml_tally *t) {
    memset(t->profile, 0, profile_bytes(t));
    *t = (sciml_tally){.levels = t->levels, .profile = t->profile, .height = t->height};
}

const char *sciml_library_facts(void); /* engine/provenance.c */

static void describe(cdf_writer *w, const sciml_tally *t, const sciml_session *s, const sciml_record *r) {
    static const char *const modes[] = {"original", "capture", "shadow", "emulate", "guard"};
    sciml_cdf_text(w, "SCIML_LIBRARY", sciml_library_facts());
    sciml_cdf_text(w, "TITLE", "statistics of an emulated convection scheme by libsciml_mskf");
    sciml_cdf_text(w, "MODE", modes[s->settings.mode]);
    sciml_cdf_text(w, "WEIGHTS", s->settings.weights);
    sciml_cdf_number(w, "RANK", s->rank, 1);
    sciml_cdf_number(w, "FIRST_STEP", r->first_step, 1);
    sciml_cdf_number(w, "LAST_STEP", r->last_step, 1);
    sciml_cdf_number(w, "DX", r->dx, 0);
    sciml_cdf_number(w, "DT", r->dt, 0);
    sciml_cdf_number(w, "NX", r->nx, 1);
    sciml_cdf_number(w, "NY", r->ny, 1);
    sciml_cdf_number(w, "NOVELTY_LIMIT", s->settings.novelty, 0);
    (void)t;
}

int sciml_tally_write(sciml_tally *t, const sciml_session *session, const sciml_record *record,
                      const char *path, char *message, size_t length) {
    if (t->count[TALLY_COLUMNS] + t->count[TALLY_HELD] == 0) return SCIML_OK;
    cdf_writer w = {0};
    describe(&w, t, session, record);
    for (int n = 0; n < TALLY_COUNTS; n++)
        sciml_cdf_values(&w,
                         &(cdf_written){count_name[n], "1", count_text[n], CDF_DOUBLE, 0, {0}, &t->count[n]});
    sciml_cdf_values(&w, &(cdf_written){"NOVELTY", "1", "the greatest", CDF_DOUBLE, 0, {0}, &t->novelty});
    sciml_cdf_values(&w, &(cdf_written){"SECONDS_EMULATOR", "s", NULL, CDF_DOUBLE, 0, {0}, &t->seconds[1]});
    if (session->settings.mode == MODE_SHADOW) {
        const uint32_t truth = sciml_cdf_dimension(&w, "scheme", KINDS);
        const uint32_t emulated = sciml_cdf_dimension(&w, "emulator", KINDS);
        const uint32_t level = sciml_cdf_dimension(&w, "bottom_top", (uint32_t)t->levels);
        const uint32_t part = sciml_cdf_dimension(&w, "moment", MOMENTS);
        sciml_cdf_text(
            &w, "MOMENTS",
            "sums of the scheme's value, of its square, of the error, of its square; the largest error; "
            "over columns in which the scheme or the emulator triggered");
        sciml_cdf_text(&w, "LEVEL_MOMENTS", "CUTOP and CUBOT: over columns in which both triggered");
        sciml_cdf_values(&w, &(cdf_written){"SECONDS_SCHEME", "s", NULL, CDF_DOUBLE, 0, {0}, &t->seconds[0]});
        sciml_cdf_values(&w, &(cdf_written){"RAIN_SCHEME",
                                            "mm",
                                            "PRATEC x DT, summed over calls and columns",
                                            CDF_DOUBLE,
                                            0,
                                            {0},
                                            &t->rain[0]});
        sciml_cdf_values(&w, &(cdf_written){"RAIN_EMULATOR", "mm", NULL, CDF_DOUBLE, 0, {0}, &t->rain[1]});
        sciml_cdf_values(&w, &(cdf_written){"CONFUSION",
                                            "1",
                                            "columns with none, shallow, deep convection",
                                            CDF_DOUBLE,
                                            2,
                                            {truth, emulated},
                                            t->confusion});
        sciml_cdf_values(&w, &(cdf_written){"HEIGHT",
                                            "m",
                                            "of the levels above ground, summed over those columns",
                                            CDF_DOUBLE,
                                            1,
                                            {level},
                                            t->height});
        for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++)
            sciml_cdf_values(
                &w,
                &(cdf_written){profile_name[f], NULL, NULL, CDF_DOUBLE, 2, {part, level}, moments(t, f, 0)});
        for (int f = 0; f < SURFACES; f++)
            sciml_cdf_values(
                &w, &(cdf_written){surface_name[f], NULL, NULL, CDF_DOUBLE, 1, {part}, t->surface[f]});
    }
    return sciml_cdf_write(&w, path, message, length);
}
