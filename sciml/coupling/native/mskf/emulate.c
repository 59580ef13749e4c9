/* The entries that run the whole emulator, and the probe of its physics. */
#include "mskf/emulate.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/message.h"
#include "mskf/handle.h"
#include "mskf/probe.h"

#include <math.h>
#include <string.h>

extern const sciml_physics sciml_physics_baseline;
#ifdef SCIML_AVX2
extern const sciml_physics sciml_physics_avx2;
#endif
#ifdef SCIML_AVX512
extern const sciml_physics sciml_physics_avx512;
#endif

/* The physics for an instruction set, by its name. */
static const sciml_physics *physics_for(const char *isa) {
#ifdef SCIML_AVX512
    if (strcmp(isa, "avx512") == 0 || strcmp(isa, "amx") == 0) return &sciml_physics_avx512;
#endif
#ifdef SCIML_AVX2
    if (strcmp(isa, "avx2") == 0) return &sciml_physics_avx2;
#endif
    (void)isa;
    return &sciml_physics_baseline;
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
    if (d->levels < handle->emulator->least_levels)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the columns have %d levels, and the network needs %d or more: use more levels",
                         d->levels, handle->emulator->least_levels);
    if (handle->emulator->kind == SCIML_PUBLISHED && d->levels != handle->network.pool_levels)
        return sciml_say(
            SCIML_SHAPE, message, length,
            "the emulator was trained on %d levels, these columns have %d: use that number of levels, "
            "or an emulator of class bilstm",
            handle->network.pool_levels, d->levels);
    const sciml_kernel *kernel = columns->bits == 64 ? handle->f64 : handle->f32;
    const sciml_physics *physics = physics_for(kernel->isa);
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
    const int layers = SCIML_PROBE_BELOW + SCIML_PROBE_CLOUD;
    if (!columns || !strength || !push || !profiles || !scalars || columns->domain.levels < layers)
        return sciml_say(SCIML_ARGUMENT, message, length, "an argument of sciml_mskf_probe is missing");
    sciml_emulator *e = sciml_aligned(sizeof *e);
    if (!e) return sciml_say(SCIML_MEMORY, message, length, "no memory for the probe");
    memset(e, 0, sizeof *e);
    e->enthalpy[0] = enthalpy[0];
    e->enthalpy[1] = enthalpy[1];
    e->below = SCIML_PROBE_BELOW;
    e->cloud = SCIML_PROBE_CLOUD;
    e->layers = layers;
    e->channels = SCIML_CHANNELS;
    e->scalars = SCIML_FEATURE_SCALARS;
    sciml_tables_fill(&e->tables);
    const sciml_kernel *kernel = sciml_kernel_for(32, isa, SCIML_WEIGHTS_FLOAT);
    const sciml_call call = {.emulator = e, .kernel = kernel, .columns = columns};
    const sciml_physics *physics = physics_for(kernel->isa);
    void *scratch = sciml_aligned(physics->scratch(&call));
    const int status = scratch ? SCIML_OK : SCIML_MEMORY;
    if (!status) physics->probe(&call, strength, push, profiles, scalars, scratch);
    sciml_give(scratch);
    sciml_give(e);
    return sciml_say(status, message, length, "%s", status ? "no memory for the probe" : "");
}
