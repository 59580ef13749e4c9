/* Run the emulator on rows of a tile, and limit its response. */
#include "wrf/emulated_patch.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "mskf/emulate.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define ROW_COLUMNS 512 /* large enough for the kernel, small enough for a cache */
#define DAY 86400.0

double sciml_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int32_t sciml_answer_rows(const sciml_tile *t) {
    const int32_t rows = ROW_COLUMNS / t->ni;
    return rows < 1 ? 1 : rows > t->nj ? t->nj : rows;
}

int sciml_answer_open(sciml_answer *answer, const sciml_tile *t, int32_t rows, int with_rates) {
    const size_t columns = (size_t)rows * (size_t)t->ni, levels = (size_t)t->nk;
    const size_t profiles = SCIML_OUTPUT_PROFILES + (with_rates ? SCIML_RATES : 0);
    const size_t values = columns * (profiles * levels + SCIML_OUTPUT_SURFACES + 3);
    *answer = (sciml_answer){.columns = (int32_t)columns, .memory = sciml_take(values * sizeof(float))};
    float *at = answer->memory;
    if (!at) return 0;
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++, at += columns * levels)
        answer->profile[f] = at;
    for (int f = 0; f < SCIML_RATES && with_rates; f++, at += columns * levels)
        answer->rate[f] = at;
    for (int f = 0; f < SCIML_OUTPUT_SURFACES; f++, at += columns)
        answer->surface[f] = at;
    answer->share = at;
    answer->kind = (int32_t *)(at + columns);
    if (with_rates) answer->timec = at + 2 * columns;
    return 1;
}

void sciml_answer_close(sciml_answer *answer) {
    sciml_give(answer->memory);
    answer->memory = NULL;
}

/* The largest magnitude of a profile, over its limit, if that is more than 1. */
static double excess(const float *profile, const float *factor, ptrdiff_t apart, ptrdiff_t factor_apart,
                     int levels, double limit, double most) {
    for (int k = 0; k < levels; k++) {
        const double x = fabs((double)profile[k * apart] * (factor ? (double)factor[k * factor_apart] : 1.0));
        if (x > limit * most) most = x / limit;
    }
    return most;
}

/* Scale the response of a column that is beyond the limits. */
static void limit(const sciml_session *s, const sciml_tile *t, int32_t i, int32_t j, sciml_answer *answer,
                  int32_t at, int32_t columns) {
    const sciml_settings *set = &s->settings;
    const float *pi = tile_profile(t, ARG_pi, i, j);
    double most =
        excess(answer->profile[SCIML_RTHCUTEN] + at, pi, columns, t->s3[1], t->nk, set->heating / DAY, 1.0);
    for (int f = SCIML_RQVCUTEN; f <= SCIML_RQSCUTEN; f++)
        most = excess(answer->profile[f] + at, NULL, columns, 0, t->nk, 1e-3 * set->moistening / DAY, most);
    answer->share[at] = 1.0f;
    if (most <= 1.0) return;
    const float share = (float)(1.0 / most);
    answer->share[at] = share;
    for (int f = SCIML_RTHCUTEN; f <= SCIML_RVCUTEN; f++)
        for (int k = 0; k < t->nk; k++)
            answer->profile[f][at + (ptrdiff_t)k * columns] *= share;
    for (int f = 0; f < SCIML_RATES && answer->rate[f]; f++)
        for (int k = 0; k < t->nk; k++)
            answer->rate[f][at + (ptrdiff_t)k * columns] *= share;
    answer->surface[SCIML_PRATEC][at] *= share;
}

int sciml_answer_rows_of(const sciml_session *s, const sciml_tile *t, int32_t first, int32_t rows,
                         const float *nca, sciml_answer *answer, char *message, size_t length) {
    const int32_t columns = rows * t->ni;
    const sciml_places out = {{1, columns, t->ni}, {1, t->ni}};
    sciml_columns call = {
        .bits = 32,
        .domain = {.ni = t->ni, .nj = rows, .levels = t->nk, .threads = 1, .held = 1},
        .kind = answer->kind,
    };
    memcpy(call.domain.s3, t->s3, sizeof t->s3);
    memcpy(call.domain.s2, t->s2, sizeof t->s2);
    call.domain.dx = (double)t->dx;
    call.domain.dt = (double)t->dt;
    call.domain.cudt = (double)t->cudt;
    for (int f = 0; f < SCIML_INPUT_PROFILES; f++)
        call.in3[f] = tile_profile(t, sciml_input_profile_arguments[f], 0, first);
    for (int f = 0; f < SCIML_INPUT_SURFACES; f++)
        call.in2[f] = tile_surface(t, sciml_input_surface_arguments[f], 0, first);
    memcpy(call.out3, answer->profile, sizeof call.out3);
    memcpy(call.out2, answer->surface, sizeof call.out2);
    memcpy(call.rate, answer->rate, sizeof call.rate);
    call.timec = answer->timec;
    memcpy(answer->surface[SCIML_NCA], nca, sizeof(float) * (size_t)columns);
    const double begun = sciml_seconds();
    const int status = sciml_emulate(s->emulator, &call, &out, message, length);
    if (status) return status;
    for (int32_t n = 0; n < columns; n++)
        if (answer->kind[n] == 1 || answer->kind[n] == 2)
            limit(s, t, n % t->ni, first + n / t->ni, answer, n, columns);
        else
            answer->share[n] = 1.0f;
    answer->seconds += sciml_seconds() - begun;
    return SCIML_OK;
}
