/* The entry that the host calls as its scheme: calls and outputs of each mode. */
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/message.h"
#include "wrf/capture.h"
#include "wrf/emulated_patch.h"
#include "wrf/host_run.h"
#include "wrf/statistics.h"
#include "wrf/wrf_log.h"
#include "wrf/wrf_patch.h"

#include <math.h>
#include <string.h>

enum { NOT_SOUND = -1, HELD = 3 };

/* The scratch of a call. */
typedef struct scratch {
    int32_t rows;
    float *nca, *w0avg; /* before the call, of all rows and of the current rows */
    uint8_t *flag;      /* held (all rows), or returned (the current rows) */
    sciml_answer answer;
    sciml_tally *tally;
} scratch;

static void close_scratch(scratch *x) {
    sciml_give(x->nca);
    sciml_give(x->w0avg);
    sciml_give(x->flag);
    sciml_answer_close(&x->answer);
    sciml_tally_free(x->tally);
}

/* The mode's use of the scratch: all rows before the call, or a few rows at a time with the emulator's
 * outputs, to compare with the host's or to return to it. */
enum scratch_use { FOR_CAPTURE, TO_COMPARE, TO_ANSWER };

static int open_scratch(scratch *x, const sciml_tile *t, enum scratch_use use) {
    const size_t columns = (size_t)t->ni * (size_t)t->nj;
    *x = (scratch){.rows = use == FOR_CAPTURE ? t->nj : sciml_answer_rows(t)};
    x->nca = sciml_take(columns * sizeof(float));
    x->flag = sciml_take_zeroed(columns, 1);
    x->w0avg = sciml_take((size_t)x->rows * (size_t)t->ni * (size_t)t->nk * sizeof(float));
    int good = x->nca && x->flag && x->w0avg;
    if (good && use != FOR_CAPTURE) {
        const int with_rates = use == TO_ANSWER && sciml_tile_wants_rates(t);
        x->tally = sciml_tally_new(t->nk);
        good = x->tally && sciml_answer_open(&x->answer, t, x->rows, with_rates);
    }
    if (!good) close_scratch(x);
    return good;
}

static void copy_nca(const sciml_tile *t, float *to) {
    for (int32_t j = 0; j < t->nj; j++)
        memcpy(to + (ptrdiff_t)j * t->ni, tile_surface(t, ARG_nca, 0, j), sizeof(float) * (size_t)t->ni);
}

/* Whether the scheme skips a column, as in WRF, in single precision. NaN is not held. */
static int is_held(const sciml_tile *t, float nca) {
    return isgreaterequal(nca, 0.5f * t->dt);
}

/* Save W0AVG of some rows: level by level, columns i fastest. */
static void save_w0avg(const sciml_tile *t, int32_t first, int32_t rows, float *saved) {
    const ptrdiff_t columns = (ptrdiff_t)rows * t->ni;
    for (int32_t j = 0; j < rows; j++)
        for (int32_t k = 0; k < t->nk; k++)
            memcpy(saved + k * columns + (ptrdiff_t)j * t->ni,
                   tile_profile(t, ARG_w0avg, 0, first + j) + k * t->s3[1], sizeof(float) * (size_t)t->ni);
}

static void capture(sciml_session *s, sciml_record *r, void *const a[], const sciml_tile *t) {
    scratch x;
    const int good = open_scratch(&x, t, FOR_CAPTURE);
    if (good) {
        copy_nca(t, x.nca);
        save_w0avg(t, 0, t->nj, x.w0avg);
        for (ptrdiff_t n = 0; n < (ptrdiff_t)t->ni * t->nj; n++)
            x.flag[n] = (uint8_t)is_held(t, x.nca[n]);
    }
    sciml_original(s, a);
    if (!good) return;
    sciml_capture_take(s, r, t, &(sciml_before){x.nca, x.w0avg, x.flag});
    close_scratch(&x);
}

static void add_tally(sciml_record *r, scratch *x) {
    pthread_mutex_lock(&r->lock);
    if (r->tally) sciml_tally_add(r->tally, x->tally);
    pthread_mutex_unlock(&r->lock);
}

static void shadow(sciml_session *s, sciml_record *r, void *const a[], const sciml_tile *t) {
    char why[SCIML_MESSAGE_SIZE];
    scratch x;
    int status = SCIML_OK;
    const int good = open_scratch(&x, t, TO_COMPARE);
    if (good) copy_nca(t, x.nca);
    const double begun = sciml_seconds();
    sciml_original(s, a);
    const double original = sciml_seconds() - begun;
    if (!good) return;
    fenv_t host;
    sciml_hold(&host);
    for (int32_t j = 0; j < t->nj && !status; j += x.rows) {
        const int32_t rows = t->nj - j < x.rows ? t->nj - j : x.rows;
        status =
            sciml_answer_rows_of(s, t, j, rows, x.nca + (ptrdiff_t)j * t->ni, &x.answer, why, sizeof why);
        if (status) break;
        sciml_tally_count(x.tally, &x.answer, rows * t->ni, s->settings.novelty, NULL);
        sciml_tally_compare(x.tally, t, j, rows, &x.answer);
    }
    sciml_tally_seconds(x.tally, original, x.answer.seconds);
    sciml_release(&host);
    if (status)
        sciml_give_up(s, why);
    else
        add_tally(r, &x);
    close_scratch(&x);
}

/* Save W0AVG of the current rows, and update it to this step as the scheme does. */
static void update_w0avg(const sciml_tile *t, int32_t first, int32_t rows, float *saved) {
    const float twice = 2.0f * (float)argument_integer(t->a, ARG_stepcu);
    const int adaptive = argument_true(t->a, ARG_adapt_step_flag);
    const float span = 2.0f * fmaxf(t->cudt * 60.0f, t->dt);
    const float old = adaptive ? span - t->dt : twice - 1.0f, now = adaptive ? t->dt : 1.0f;
    const float whole = adaptive ? span : twice;
    save_w0avg(t, first, rows, saved);
    for (int32_t j = 0; j < rows; j++)
        for (int32_t k = 0; k < t->nk; k++) {
            float *mean = tile_profile(t, ARG_w0avg, 0, first + j) + k * t->s3[1];
            const float *w = tile_profile(t, ARG_w, 0, first + j) + k * t->s3[1];
            for (int32_t i = 0; i < t->ni; i++)
                mean[i] = (mean[i] * old + 0.5f * (w[i] + w[i + t->s3[1]]) * now) / whole;
        }
}

/* Write the emulator's outputs of a column into the host's arrays. */
static void accept(const sciml_session *s, const sciml_tile *t, int32_t i, int32_t j,
                   const sciml_answer *answer, int32_t n, int32_t columns) {
    for (int f = 0; f < SCIML_OUTPUT_PROFILES; f++) {
        float *to = tile_profile(t, sciml_output_profile_arguments[f], i, j);
        for (int32_t k = 0; k < t->nk; k++)
            to[k * t->s3[1]] = answer->profile[f][n + (ptrdiff_t)k * columns];
    }
    for (int f = 0; f < 4; f++)
        if (f != SCIML_NCA || answer->kind[n] > NONE) /* without convection the scheme does not change NCA */
            *tile_surface(t, sciml_output_surface_arguments[f], i, j) = answer->surface[f][n];
    *tile_surface(t, ARG_raincv, i, j) = t->dt * answer->surface[SCIML_PRATEC][n];
    ((int32_t *)t->a[ARG_cu_act_flag])[t->at2 + i * t->s2[0] + j * t->s2[1]] = s->yes;
    if (!answer->timec) return;
    for (int f = 0; f < SCIML_RATES; f++) {
        float *to = tile_profile(t, sciml_rate_arguments[f], i, j);
        for (int32_t k = 0; k < t->nk; k++)
            to[k * t->s3[1]] = answer->rate[f][n + (ptrdiff_t)k * columns];
    }
    *tile_surface(t, ARG_timec, i, j) = answer->timec[n];
}

/* Run the host's own scheme on one column, as without the emulator. */
static void give_back(const sciml_session *s, const sciml_tile *t, int32_t i, int32_t j, const float *w0avg,
                      int32_t columns) {
    void *a[SCIML_ARGUMENT_COUNT];
    int its = argument_integer(t->a, ARG_its) + i, ite = its, jts = argument_integer(t->a, ARG_jts) + j,
        jte = jts;
    memcpy(a, t->a, sizeof a);
    a[ARG_its] = &its;
    a[ARG_ite] = &ite;
    a[ARG_jts] = &jts;
    a[ARG_jte] = &jte;
    for (int32_t k = 0; k < t->nk; k++)
        tile_profile(t, ARG_w0avg, i, j)[k * t->s3[1]] = w0avg[(ptrdiff_t)k * columns];
    sciml_original(s, a);
}

/* Whether the host's scheme is used instead: for columns that are not sound, and in guard mode by the limits.
 */
static int is_returned(const sciml_session *s, const sciml_answer *answer, int32_t n) {
    if (answer->kind[n] == HELD || !s->original) return 0;
    if (answer->kind[n] == NOT_SOUND) return 1;
    if (s->settings.mode != MODE_GUARD || answer->kind[n] == NONE) return 0;
    return !((double)answer->surface[SCIML_NOVELTY][n] <= s->settings.novelty &&
             (double)answer->share[n] >= s->settings.limited);
}

static void hand_out(sciml_session *s, const sciml_tile *t, int32_t first, int32_t rows, scratch *x,
                     const fenv_t *host) {
    const int32_t columns = rows * t->ni;
    const sciml_answer *answer = &x->answer;
    for (int32_t n = 0; n < columns; n++)
        x->flag[n] = (uint8_t)is_returned(s, answer, n);
    sciml_tally_count(x->tally, answer, columns, s->settings.novelty, x->flag);
    for (int32_t n = 0; n < columns; n++) {
        const int32_t i = n % t->ni, j = first + n / t->ni;
        if (x->flag[n]) {
            fenv_t mine;
            fegetenv(&mine);
            sciml_release(host);
            give_back(s, t, i, j, x->w0avg + n, columns);
            fesetenv(&mine);
        } else if (answer->kind[n] == HELD) {
            ((int32_t *)t->a[ARG_cu_act_flag])[t->at2 + i * t->s2[0] + j * t->s2[1]] = 0;
        } else {
            accept(s, t, i, j, answer, n, columns);
        }
    }
}

/* Restore W0AVG in these rows, so that the host's scheme can still run the call. */
static void restore_w0avg(const sciml_tile *t, int32_t first, int32_t rows, const float *saved) {
    const ptrdiff_t columns = (ptrdiff_t)rows * t->ni;
    for (int32_t j = 0; j < rows; j++)
        for (int32_t k = 0; k < t->nk; k++)
            memcpy(tile_profile(t, ARG_w0avg, 0, first + j) + k * t->s3[1],
                   saved + k * columns + (ptrdiff_t)j * t->ni, sizeof(float) * (size_t)t->ni);
}

static void emulate(sciml_session *s, sciml_record *r, void *const a[], const sciml_tile *t) {
    char why[SCIML_MESSAGE_SIZE];
    scratch x;
    fenv_t host;
    if (!open_scratch(&x, t, TO_ANSWER)) {
        sciml_give_up(s, "no memory for the emulator's outputs");
        sciml_original(s, a);
        return;
    }
    sciml_hold(&host);
    copy_nca(t, x.nca);
    int status = SCIML_OK;
    int32_t j = 0;
    for (; j < t->nj; j += x.rows) {
        const int32_t rows = t->nj - j < x.rows ? t->nj - j : x.rows;
        update_w0avg(t, j, rows, x.w0avg);
        status =
            sciml_answer_rows_of(s, t, j, rows, x.nca + (ptrdiff_t)j * t->ni, &x.answer, why, sizeof why);
        if (status) {
            restore_w0avg(t, j, rows, x.w0avg);
            break;
        }
        hand_out(s, t, j, rows, &x, &host);
    }
    sciml_tally_seconds(x.tally, 0.0, x.answer.seconds);
    sciml_release(&host);
    add_tally(r, &x);
    close_scratch(&x);
    if (!status) return;
    sciml_give_up(s, why);
    void *rest[SCIML_ARGUMENT_COUNT];
    int jts = argument_integer(a, ARG_jts) + j;
    memcpy(rest, a, sizeof rest);
    rest[ARG_jts] = &jts;
    sciml_original(s, rest);
}

static void call(void *const a[], sciml_naming naming) {
    sciml_session *s = sciml_session_of(a, naming);
    const int mode = atomic_load(&s->mode);
    const sciml_tile t = sciml_tile_of(a);
    sciml_record *r = mode == MODE_ORIGINAL || t.ni < 1 || t.nj < 1 ? NULL : sciml_record_of(s, a);
    if (!r) {
        if (mode != MODE_ORIGINAL && t.ni > 0 && t.nj > 0)
            sciml_give_up(s, "more than 32 domains of different size or DX: use at most 32");
        sciml_original(s, a);
        return;
    }
    sciml_turn_over(s, r, a);
    if (mode == MODE_CAPTURE)
        capture(s, r, a, &t);
    else if (mode == MODE_SHADOW)
        shadow(s, r, a, &t);
    else
        emulate(s, r, a, &t);
}

int sciml_mskf_scheme(void *const arguments[100], char *message, size_t length) {
    if (!arguments)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_mskf_scheme needs the 100 arguments of MSKF_CPS");
    call(arguments, NAMED_BY_GNU);
    sciml_session *s = sciml_session_of(arguments, NAMED_BY_GNU);
    pthread_mutex_lock(&s->lock);
    const int status = sciml_say(s->failed, message, length, "%s", s->failure);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* The entries for Fortran hosts: by the linker's --wrap under the compilers' names, or by name. */
#define PARAMETER(name) void *name
#define ITEM(name) name
#define SCHEME(symbol, naming)                                                                               \
    SCIML_API void symbol(SCIML_ARGUMENTS(PARAMETER));                                                       \
    void symbol(SCIML_ARGUMENTS(PARAMETER)) {                                                                \
        void *const a[] = {SCIML_ARGUMENTS(ITEM)};                                                           \
        call(a, naming);                                                                                     \
    }

SCHEME(__wrap___module_cu_mskf_MOD_mskf_cps, NAMED_BY_GNU)
SCHEME(__wrap_module_cu_mskf_mp_mskf_cps_, NAMED_BY_INTEL)
SCHEME(sciml_mskf_cps, NAMED_BY_GNU)
