/* Drawing columns, and the file of pairs that sciml.wrf.convection_columns reads. */
#include "capture.h"
#include "announce.h"
#include "cdf.h"
#include "cdf_write.h"
#include "network.h"

#include <stdlib.h>
#include <string.h>

enum { PROFILES = SCIML_INPUT_PROFILES + SCIML_OUTPUT_PROFILES, SURFACES = SCIML_INPUT_SURFACES + 4 };

struct sciml_capture {
    int32_t levels, room, taken;
    int64_t passed_over; /* drawn, but the file was full */
    float *profile[PROFILES], *surface[SURFACES], *weight, *minutes, *nca_in, *w0avg_in;
    int32_t *i, *j, *step, *run;
    float cudt;
    int32_t stepcu;
};

static const char *const profile_name[PROFILES] = {
    "U_PHY",    "V_PHY",   "T_PHY",    "QVAPOR",    "P_HYD",     "DZ8W",     "RHO",
    "PI_PHY",   "W0AVG",   "RTHCUTEN", "RQVCUTEN",  "RQCCUTEN",  "RQRCUTEN", "RQICUTEN",
    "RQSCUTEN", "RUCUTEN", "RVCUTEN",  "CLDFRA_DP", "CLDFRA_SH", "QC_CU",    "QI_CU"};
static const char *const profile_units[PROFILES] = {
    "m s-1",       "m s-1", "K",     "kg kg-1",     "Pa",          "m",           "kg m-3",
    "1",           "m s-1", "K s-1", "kg kg-1 s-1", "kg kg-1 s-1", "kg kg-1 s-1", "kg kg-1 s-1",
    "kg kg-1 s-1", "m s-2", "m s-2", "1",           "1",           "kg kg-1",     "kg kg-1"};
static const char *const surface_name[SURFACES] = {"ZOL",    "HFX", "UST",   "PBLH",
                                                   "PRATEC", "NCA", "CUTOP", "CUBOT"};
static const char *const surface_units[SURFACES] = {"1",      "W m-2", "m s-1", "m",
                                                    "mm s-1", "s",     "level", "level"};

/* A file's worth of room; the columns beyond it are counted only. */
sciml_capture *sciml_capture_new(const sciml_settings *settings, int32_t levels) {
    sciml_capture *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    const size_t room = (size_t)settings->capture_columns;
    c->levels = levels;
    c->room = settings->capture_columns;
    int good = 1;
    for (int n = 0; n < PROFILES; n++)
        good &= (c->profile[n] = malloc(room * (size_t)levels * sizeof(float))) != NULL;
    for (int n = 0; n < SURFACES; n++)
        good &= (c->surface[n] = malloc(room * sizeof(float))) != NULL;
    good &= (c->w0avg_in = malloc(room * (size_t)levels * sizeof(float))) != NULL;
    float **const numbers[] = {&c->weight, &c->minutes, &c->nca_in};
    int32_t **const places[] = {&c->i, &c->j, &c->step, &c->run};
    for (int n = 0; n < 3; n++)
        good &= (*numbers[n] = malloc(room * sizeof(float))) != NULL;
    for (int n = 0; n < 4; n++)
        good &= (*places[n] = malloc(room * sizeof(int32_t))) != NULL;
    if (!good) c->room = 0; /* nothing is taken, everything counted as passed over */
    return c;
}

/* A number in [0, 1) for a place and a step: the mixing of "SplitMix64" (Steele, Lea and Flood 2014). */
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

static void take(sciml_capture *c, const sciml_tile *t, int32_t i, int32_t j, int kind, float weight,
                 int32_t run, const sciml_before *before) {
    const int32_t n = c->taken++;
    const ptrdiff_t levels = c->levels, columns = (ptrdiff_t)t->ni * t->nj, at = (ptrdiff_t)j * t->ni + i;
    c->nca_in[n] = before->nca[at];
    for (ptrdiff_t k = 0; k < levels; k++)
        c->w0avg_in[n * levels + k] = before->w0avg[k * columns + at];
    for (int f = 0; f < PROFILES; f++) {
        const int argument = f < SCIML_INPUT_PROFILES
                                 ? sciml_input_profile_arguments[f]
                                 : sciml_output_profile_arguments[f - SCIML_INPUT_PROFILES];
        const float *from = tile_profile(t, argument, i, j);
        for (ptrdiff_t k = 0; k < levels; k++)
            c->profile[f][n * levels + k] = from[k * t->s3[1]];
    }
    for (int f = 0; f < SURFACES; f++) {
        const int argument = f < SCIML_INPUT_SURFACES
                                 ? sciml_input_surface_arguments[f]
                                 : sciml_output_surface_arguments[f - SCIML_INPUT_SURFACES];
        c->surface[f][n] = *tile_surface(t, argument, i, j);
    }
    /* where nothing triggers the scheme leaves NCA as it was, which could pass for a hold of a fraction of a
     * step */
    if (kind == 0) c->surface[SCIML_INPUT_SURFACES + SCIML_NCA][n] = -100.0f;
    c->weight[n] = weight;
    c->minutes[n] = (float)((double)t->step * t->dt / 60.0);
    c->i[n] = t->i0 + i;
    c->j[n] = t->j0 + j;
    c->step[n] = t->step;
    c->run[n] = run;
}

void sciml_capture_take(sciml_session *session, sciml_record *record, const sciml_tile *t,
                        const sciml_before *before) {
    const sciml_settings *s = &session->settings;
    sciml_capture *c = record->capture;
    if (!c || t->nk != record->levels || t->step < s->capture_first || t->step > s->capture_last ||
        (t->step - s->capture_first) % s->capture_every != 0)
        return;
    for (int32_t j = 0; j < t->nj; j++)
        for (int32_t i = 0; i < t->ni; i++) {
            if (before->held[(ptrdiff_t)j * t->ni + i]) continue;
            const int kind = sciml_tile_kind(t, i, j);
            if (drawn(t->i0 + i, t->j0 + j, t->step, s->seed) >= s->capture[kind]) continue;
            pthread_mutex_lock(&record->lock);
            c->cudt = t->cudt;
            c->stepcu = argument_integer(t->a, ARG_stepcu);
            if (c->taken < c->room)
                take(c, t, i, j, kind, (float)(1.0 / s->capture[kind]), s->run, before);
            else
                c->passed_over++;
            pthread_mutex_unlock(&record->lock);
        }
}

int sciml_capture_write(sciml_capture *c, const sciml_session *session, const sciml_record *record,
                        const char *path, char *message, size_t length) {
    if (!c->taken) return SCIML_OK;
    cdf_writer w = {0};
    const uint32_t column = sciml_cdf_dimension(&w, "column", (uint32_t)c->taken);
    const uint32_t level = sciml_cdf_dimension(&w, "bottom_top", (uint32_t)c->levels);
    sciml_cdf_text(&w, "TITLE",
                   "input-output pairs of MSKF_CPS captured at the call inside the host by libsciml_mskf");
    sciml_cdf_number(&w, "DX", record->dx, 0);
    sciml_cdf_number(&w, "DT", record->dt, 0);
    sciml_cdf_number(&w, "CUDT", c->cudt, 0);
    sciml_cdf_number(&w, "STEPCU", c->stepcu, 1);
    sciml_cdf_number(&w, "CU_PHYSICS", 11, 1);
    sciml_cdf_number(&w, "SCIML_RANK", session->rank, 1);
    sciml_cdf_number(&w, "SCIML_PASSED_OVER", (double)c->passed_over, 0);
    sciml_cdf_text(
        &w, "COMMENT",
        "Inputs are the arguments on entry, W0AVG the value that the scheme used (after its own update; "
        "W0AVG_IN: before). WEIGHT is one over the "
        "probability of having been drawn. NCA is -100 where nothing triggered. "
        "SCIML_PASSED_OVER columns were drawn for which capture_columns left no room.");
    for (int f = 0; f < PROFILES; f++)
        sciml_cdf_values(
            &w, &(cdf_written){
                    profile_name[f], profile_units[f], NULL, CDF_FLOAT, 2, {column, level}, c->profile[f]});
    for (int f = 0; f < SURFACES; f++)
        sciml_cdf_values(
            &w,
            &(cdf_written){surface_name[f], surface_units[f], NULL, CDF_FLOAT, 1, {column}, c->surface[f]});
    sciml_cdf_values(
        &w,
        &(cdf_written){"W0AVG_IN", "m s-1", "before the call", CDF_FLOAT, 2, {column, level}, c->w0avg_in});
    sciml_cdf_values(&w, &(cdf_written){"NCA_IN", "s", "before the call", CDF_FLOAT, 1, {column}, c->nca_in});
    sciml_cdf_values(&w, &(cdf_written){"WEIGHT",
                                        "1",
                                        "one over the probability of having been drawn",
                                        CDF_FLOAT,
                                        1,
                                        {column},
                                        c->weight});
    sciml_cdf_values(
        &w, &(cdf_written){"XTIME", "min", "since the start of the run", CDF_FLOAT, 1, {column}, c->minutes});
    sciml_cdf_values(&w, &(cdf_written){"ITIMESTEP", "1", NULL, CDF_INT, 1, {column}, c->step});
    sciml_cdf_values(
        &w, &(cdf_written){"RUN", "1", "the run the column comes from", CDF_INT, 1, {column}, c->run});
    sciml_cdf_values(&w, &(cdf_written){"J", "1", NULL, CDF_INT, 1, {column}, c->j});
    sciml_cdf_values(&w, &(cdf_written){"I", "1", NULL, CDF_INT, 1, {column}, c->i});
    if (c->passed_over && session->rank == 0)
        sciml_announce("%lld drawn columns were passed over: %s holds capture_columns = %d of them; capture "
                       "less or more often",
                       (long long)c->passed_over, path, c->room);
    c->taken = 0;
    c->passed_over = 0;
    return sciml_cdf_write(&w, path, message, length);
}
