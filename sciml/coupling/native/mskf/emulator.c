/* The entries for the whole emulator, and what its weights hold beside the Bi-LSTM. */
#include "mskf/emulator.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/netcdf_reader.h"
#include "mskf/probe.h"

#include <math.h>
#include <string.h>

extern const sciml_physics sciml_physics_baseline;
#ifdef SCIML_X86
extern const sciml_physics sciml_physics_avx2, sciml_physics_avx512;
#endif

const sciml_physics *sciml_physics_for(const char *isa) {
#ifdef SCIML_X86
    if (strcmp(isa, "avx512") == 0) return &sciml_physics_avx512;
    if (strcmp(isa, "avx2") == 0) return &sciml_physics_avx2;
#endif
    (void)isa;
    return &sciml_physics_baseline;
}

/* The arrays of the weights file, and where they go. */
typedef struct wanted {
    const char *name;
    uint32_t rank, shape[2];
    double **to;
    int inverted; /* 1: kept as its reciprocal */
} wanted;

static int take(const sciml_cdf *file, const wanted *want, char *message, size_t length) {
    const cdf_variable *v = sciml_cdf_variable(file, want->name);
    if (!v || (v->type != CDF_FLOAT && v->type != CDF_DOUBLE))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights file has no array of numbers `%s`: export it again", want->name);
    int fits = v->rank == want->rank;
    for (uint32_t r = 0; fits && r < want->rank; r++)
        fits = v->shape[r] == want->shape[r];
    if (!fits)
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` in the weights file does not have the shape that its emulator needs: export "
                         "it again with the sciml that this library is of",
                         want->name);
    double *d = sciml_take(sizeof *d * (size_t)v->count);
    if (!d) return sciml_say(SCIML_MEMORY, message, length, "no memory for `%s`", want->name);
    *want->to = d;
    for (uint64_t i = 0; i < v->count; i++) {
        const double x = v->type == CDF_FLOAT ? (double)sciml_cdf_float(v->values + 4 * i)
                                              : sciml_cdf_double(v->values + 8 * i);
        d[i] = want->inverted ? 1.0 / x : x;
        if (!isfinite(d[i]))
            return sciml_say(SCIML_SHAPE, message, length,
                             "`%s` in the weights file has a value that is not finite or, as a scale, zero: "
                             "train again",
                             want->name);
    }
    return SCIML_OK;
}

static int whole_number(const sciml_cdf *file, const char *name, int32_t low, int32_t high, int32_t *value,
                        char *message, size_t length) {
    const int status = sciml_cdf_integer(file, name, value, message, length);
    if (!status && (*value < low || *value > high))
        return sciml_say(SCIML_SHAPE, message, length,
                         "`%s` is %d in the weights file; this library takes %d to %d", name, *value, low,
                         high);
    return status;
}

/* A scalar attribute that may be missing: NaN then. */
static double told(const sciml_cdf *file, const char *name) {
    const cdf_attribute *a = sciml_cdf_attribute(file, name);
    if (!a || a->count != 1) return NAN;
    return a->type == CDF_DOUBLE  ? sciml_cdf_double(a->values)
           : a->type == CDF_FLOAT ? (double)sciml_cdf_float(a->values)
           : a->type == CDF_INT   ? (double)sciml_cdf_int(a->values)
                                  : NAN;
}

int sciml_emulator_load(const sciml_cdf *file, const sciml_network *net, sciml_emulator **emulator,
                        char *message, size_t length) {
    *emulator = NULL;
    if (net->channels != SCIML_CHANNELS + SCIML_FEATURE_SCALARS || net->outputs != 1 || net->pooled != 0 ||
        net->hidden > SCIML_MOST_HIDDEN)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the emulator's network has %d inputs, %d outputs and %d hidden units; this library "
                         "computes %d features for 1 output and at most %d hidden units: export it again",
                         net->channels, net->outputs, net->hidden, SCIML_CHANNELS + SCIML_FEATURE_SCALARS,
                         SCIML_MOST_HIDDEN);
    sciml_emulator *e = sciml_aligned(sizeof *e);
    if (!e) return sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    memset(e, 0, sizeof *e);
    int status = whole_number(file, "levels", 3, SCIML_MAX_LEVELS, &e->levels, message, length);
    if (!status)
        status = whole_number(file, "network_levels", 1, e->levels, &e->network_levels, message, length);
    if (!status) status = whole_number(file, "pooled_units", 1, SCIML_MAX_WIDTH, &e->pooled, message, length);
    const uint32_t k = (uint32_t)e->network_levels, c = SCIML_CHANNELS, s = SCIML_FEATURE_SCALARS;
    const uint32_t units = (uint32_t)e->pooled, width = 2 * (uint32_t)net->hidden + s;
    double *enthalpy = NULL;
    const wanted arrays[] = {
        {"normalisation.mean", 2, {k, c}, &e->mean, 0},
        {"normalisation.scale", 2, {k, c}, &e->per_scale, 1},
        {"normalisation.middle", 2, {k, c}, &e->middle, 0},
        {"normalisation.reach", 2, {k, c}, &e->per_reach, 1},
        {"normalisation.scalar_mean", 1, {s}, &e->scalar_mean, 0},
        {"normalisation.scalar_scale", 1, {s}, &e->scalar_per_scale, 1},
        {"normalisation.scalar_middle", 1, {s}, &e->scalar_middle, 0},
        {"normalisation.scalar_reach", 1, {s}, &e->scalar_per_reach, 1},
        {"summary.weight", 2, {units, width}, &e->pool, 0},
        {"summary.bias", 1, {units}, &e->pool_bias, 0},
        {"column.weight", 2, {2, units}, &e->column, 0},
        {"column.bias", 1, {2}, &e->column_bias, 0},
        {"enthalpy", 1, {2}, &enthalpy, 0},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && !status; i++)
        status = take(file, &arrays[i], message, length);
    const wanted pressure = {"level_pressure", 1, {(uint32_t)e->levels}, &e->pressure, 0};
    if (!status && sciml_cdf_variable(file, pressure.name)) status = take(file, &pressure, message, length);
    e->trained[0] = told(file, "about_dx");
    e->trained[1] = told(file, "about_dt");
    e->trained[2] = told(file, "about_cudt");
    if (!status) {
        e->enthalpy[0] = enthalpy[0];
        e->enthalpy[1] = enthalpy[1];
        sciml_tables_fill(&e->tables);
        *emulator = e;
    } else {
        sciml_emulator_free(e);
    }
    sciml_give(enthalpy);
    return status;
}

void sciml_emulator_free(sciml_emulator *e) {
    if (!e) return;
    double *const owned[] = {e->mean,        e->per_scale,        e->middle,        e->per_reach,
                             e->scalar_mean, e->scalar_per_scale, e->scalar_middle, e->scalar_per_reach,
                             e->pool,        e->pool_bias,        e->column,        e->column_bias,
                             e->pressure};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        sciml_give(owned[i]);
    sciml_give(e);
}

static int complete(const sciml_columns *f) {
    for (int i = 0; i < SCIML_INPUT_PROFILES; i++)
        if (!f->in3[i]) return 0;
    for (int i = 0; i < SCIML_INPUT_SURFACES; i++)
        if (!f->in2[i]) return 0;
    for (int i = 0; i < SCIML_OUTPUT_PROFILES; i++)
        if (!f->out3[i]) return 0;
    for (int i = 0; i < SCIML_OUTPUT_SURFACES; i++)
        if (!f->out2[i]) return 0;
    return f->kind != NULL;
}

/* The columns of a call, cut into chunks. */
typedef struct chunks {
    const sciml_call *call;
    const sciml_physics *physics;
    int64_t count, chunk;
} chunks;

/* The number of columns of chunk n that are not sound. */
static int64_t run_chunk(const void *call, int64_t n, void *scratch) {
    const chunks *c = call;
    const int64_t first = n * c->chunk, left = c->count - first;
    return c->physics->run(c->call, first, left < c->chunk ? left : c->chunk, scratch);
}

int sciml_emulate(const sciml_mskf *handle, const sciml_columns *columns, const sciml_places *out,
                  char *message, size_t length) {
    const sciml_mskf_domain *d = &columns->domain;
    if (!complete(columns))
        return sciml_say(SCIML_ARGUMENT, message, length, "a field of the emulator is NULL");
    if (d->ni < 0 || d->nj < 0 || (d->nj > 0 && d->ni > INT64_MAX / d->nj) || d->levels < 1 ||
        d->levels > SCIML_MAX_LEVELS || d->threads < 1 || d->threads > SCIML_MAX_THREADS)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%lld x %lld columns, %d levels, %d threads: this library takes any number "
                         "of columns, 1 to %d levels, 1 to %d threads",
                         (long long)d->ni, (long long)d->nj, d->levels, d->threads, SCIML_MAX_LEVELS,
                         SCIML_MAX_THREADS);
    /* isgreater: the operator raises an exception on NaN, for which the host may have a trap */
    if (!isgreater(d->dt, 0) || !isgreater(d->dx, 0) || !isgreaterequal(d->cudt, 0) || isinf(d->dt) ||
        isinf(d->dx) || isinf(d->cudt))
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "dt = %g s and dx = %g m must be positive, cudt = %g min not negative", d->dt, d->dx,
                         d->cudt);
    if (!handle->emulator)
        return sciml_say(SCIML_SCHEMA, message, length,
                         "the weights hold a bare network, not the whole emulator: call "
                         "sciml_network_run, or export an emulator");
    if (d->levels != handle->emulator->levels)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the columns have %d levels, the emulator was trained on %d: use weights trained on "
                         "%d levels",
                         d->levels, handle->emulator->levels, d->levels);
    const sciml_kernel *kernel = columns->bits == 64 ? handle->f64 : handle->f32;
    const sciml_physics *physics = sciml_physics_for(kernel->isa);
    const sciml_call call = {handle->emulator, &handle->network, kernel, columns, *out};
    const int64_t count = d->ni * d->nj;
    int64_t chunk = count / (4 * (int64_t)d->threads) + 1;
    chunk = d->threads == 1 || chunk > SCIML_CHUNK ? SCIML_CHUNK : chunk < 96 ? 96 : chunk;
    const chunks whole = {&call, physics, count, chunk};
    const sciml_work work = {&whole, count / chunk + (count % chunk != 0),
                             sciml_aligned_bytes(physics->scratch(&call)), run_chunk};
    int64_t unsound;
    if (!sciml_share(&work, d->threads, &unsound))
        return sciml_say(SCIML_MEMORY, message, length, "no memory for %zu bytes of scratch", work.bytes);
    if (unsound)
        return sciml_say(
            SCIML_OK, message, length,
            "%lld columns are not finite or not physical: their kind is -1, their tendencies zero",
            (long long)unsound);
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

/* Outputs that lie as the inputs do. */
static int run(const sciml_mskf *handle, const sciml_columns *columns, char *message, size_t length) {
    sciml_places out;
    memcpy(out.s3, columns->domain.s3, sizeof out.s3);
    memcpy(out.s2, columns->domain.s2, sizeof out.s2);
    return sciml_emulate(handle, columns, &out, message, length);
}

int sciml_mskf_run(const sciml_mskf *handle, const sciml_mskf_domain *domain, const sciml_mskf_fields *fields,
                   char *message, size_t length) {
    if (!handle || !domain || !fields)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_mskf_run needs a handle from sciml_mskf_init, a domain and fields");
    sciml_columns columns = {.bits = 32, .domain = *domain, .kind = fields->kind};
    memcpy(columns.in3, fields->in3, sizeof columns.in3);
    memcpy(columns.in2, fields->in2, sizeof columns.in2);
    memcpy(columns.out3, fields->out3, sizeof columns.out3);
    memcpy(columns.out2, fields->out2, sizeof columns.out2);
    return run(handle, &columns, message, length);
}

int sciml_mskf_run_any(const sciml_mskf *handle, const sciml_columns *columns, char *message, size_t length) {
    if (!handle || !columns || (columns->bits != 32 && columns->bits != 64))
        return sciml_say(
            SCIML_ARGUMENT, message, length,
            "sciml_mskf_run_any needs a handle from sciml_mskf_init and columns of 32 or 64 bits");
    return run(handle, columns, message, length);
}

int sciml_mskf_probe(const sciml_columns *columns, const double enthalpy[2], const double *strength,
                     const double *push, double *profiles, double *scalars, const char *isa, char *message,
                     size_t length) {
    if (!columns || !strength || !push || !profiles || !scalars || columns->domain.levels < 3)
        return sciml_say(SCIML_ARGUMENT, message, length, "an argument of sciml_mskf_probe is missing");
    sciml_emulator *e = sciml_aligned(sizeof *e);
    const sciml_kernel *kernel = sciml_kernel_for(32, isa);
    const sciml_call call = {.emulator = e, .kernel = kernel, .columns = columns};
    const sciml_physics *physics = sciml_physics_for(kernel->isa);
    void *scratch = sciml_aligned(physics->scratch(&call));
    const int status = e && scratch ? SCIML_OK : SCIML_MEMORY;
    if (!status) {
        memset(e, 0, sizeof *e);
        e->enthalpy[0] = enthalpy[0];
        e->enthalpy[1] = enthalpy[1];
        sciml_tables_fill(&e->tables);
        physics->probe(&call, strength, push, profiles, scalars, scratch);
    }
    sciml_give(scratch);
    sciml_give(e);
    return sciml_say(status, message, length, "%s", status ? "no memory for the probe" : "");
}
