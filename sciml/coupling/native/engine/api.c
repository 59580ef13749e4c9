/* The entries of sciml_mskf.h that open, describe and close, and that run the bare network. */
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/netcdf_reader.h"
#include "engine/network_weights.h"
#include "mskf/emulator.h"
#include "wrf/namelist.h"

#include <stdlib.h>
#include <string.h>

/* The kernels that SCIML_ISA asks for, the best ones without it. Another set than the one asked for would
 * answer with other bits, so there is none in its place. */
static int choose_kernels(sciml_mskf *made, char *message, size_t length) {
    const char *asked = getenv("SCIML_ISA");
    made->f32 = sciml_kernel_for(32, asked);
    made->f64 = sciml_kernel_for(64, asked);
    if (!asked || !*asked || strcmp(asked, made->f32->isa) == 0) return SCIML_OK;
    const char *best = sciml_kernel_for(32, NULL)->isa;
    return sciml_say(SCIML_ARGUMENT, message, length,
                     "the environment variable SCIML_ISA is `%s`; this processor and this build have %s: "
                     "choose one of them, or unset it",
                     asked,
                     strcmp(best, "avx512") == 0 ? "baseline, avx2 and avx512"
                     : strcmp(best, "avx2") == 0 ? "baseline and avx2"
                                                 : "baseline alone");
}

static int open_weights(const char *path, sciml_mskf **handle, char *message, size_t length) {
    sciml_cdf file;
    int status = sciml_cdf_open(path, &file, message, length);
    if (status) return status;
    sciml_mskf *made = sciml_take_zeroed(1, sizeof *made);
    sciml_mskf_description *d = made ? &made->description : NULL;
    if (!made) status = sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    if (!status) status = choose_kernels(made, message, length);
    if (!status) status = sciml_cdf_integer(&file, "sciml_schema", &d->schema, message, length);
    if (!status && d->schema != SCIML_WEIGHTS_SCHEMA)
        status = sciml_say(SCIML_SCHEMA, message, length,
                           "%s has schema %d, this library reads schema %d: export the weights and "
                           "build the library with the same sciml",
                           path, d->schema, SCIML_WEIGHTS_SCHEMA);
    if (!status) status = sciml_network_load(&file, &made->network, message, length);
    if (!status && sciml_cdf_attribute(&file, "pooled_units")) {
        status = sciml_emulator_load(&file, &made->network, &made->emulator, message, length);
        if (status) sciml_network_free(&made->network);
    }
    sciml_cdf_close(&file);
    if (status) {
        sciml_give(made);
        return status;
    }
    const sciml_network *net = &made->network;
    d->channels = net->channels;
    d->layers = net->layers;
    d->hidden = net->hidden;
    d->outputs = net->outputs;
    d->pooled = net->pooled;
    d->pool_levels = net->pool_levels;
    d->emulator = made->emulator != NULL;
    *handle = made;
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

int sciml_mskf_init(const char *path, sciml_mskf **handle, char *message, size_t length) {
    if (handle) *handle = NULL;
    if (!path || !handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_mskf_init needs a path and a place for the handle");
    fenv_t host;
    sciml_namelist_not_wanted();
    sciml_hold(&host);
    const int status = open_weights(path, handle, message, length);
    sciml_release(&host);
    return status;
}

void sciml_mskf_finalise(sciml_mskf **handle) {
    if (handle && *handle) {
        sciml_network_free(&(*handle)->network);
        sciml_emulator_free((*handle)->emulator);
        sciml_give(*handle);
        *handle = NULL;
    }
}

int sciml_mskf_describe(const sciml_mskf *handle, sciml_mskf_description *description, char *message,
                        size_t length) {
    if (!handle || !description)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_mskf_describe needs a handle from sciml_mskf_init");
    *description = handle->description;
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

const char *sciml_mskf_isa(const sciml_mskf *handle) {
    return handle ? handle->f32->isa : sciml_kernel_for(32, NULL)->isa;
}

/* The columns of a call of the bare network, cut into tiles. */
typedef struct tiles {
    const sciml_network *net;
    const sciml_kernel *kernel;
    const sciml_arrays *arrays;
    int64_t columns;
    int32_t levels;
} tiles;

static int64_t run_tile(const void *call, int64_t n, void *scratch) {
    const tiles *t = call;
    const int64_t first = n * t->kernel->block, left = t->columns - first;
    t->kernel->run(t->net, t->levels, (int32_t)(left < t->kernel->block ? left : t->kernel->block), first,
                   t->arrays, scratch);
    return 0;
}

static int run(const sciml_network *net, const sciml_kernel *kernel, int64_t columns, int32_t levels,
               const sciml_arrays *arrays, int32_t threads, char *message, size_t length) {
    if (columns < 0 || levels < 1 || levels > SCIML_MAX_LEVELS || threads < 1 || threads > SCIML_MAX_THREADS)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%lld columns, %d levels, %d threads: this library takes any number of "
                         "columns, 1 to %d levels, 1 to %d threads",
                         (long long)columns, levels, threads, SCIML_MAX_LEVELS, SCIML_MAX_THREADS);
    if (!arrays->x || (!arrays->y && net->outputs) || (!arrays->p && net->pooled))
        return sciml_say(SCIML_ARGUMENT, message, length, "an array of the network is NULL");
    if (net->pool_levels && levels != net->pool_levels)
        return sciml_say(SCIML_SHAPE, message, length,
                         "the columns have %d levels, the network was trained on %d: use weights "
                         "trained on %d levels",
                         levels, net->pool_levels, levels);
    const tiles whole = {net, kernel, arrays, columns, levels};
    const sciml_work work = {&whole, columns / kernel->block + (columns % kernel->block != 0),
                             sciml_aligned_bytes(kernel->scratch(net, levels)), run_tile};
    int64_t nothing;
    if (!sciml_share(&work, threads, &nothing))
        return sciml_say(SCIML_MEMORY, message, length, "no memory for %zu bytes of scratch", work.bytes);
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

static sciml_arrays arrays_of(const void *x, const ptrdiff_t *xs, void *y, const ptrdiff_t *ys, void *p,
                              const ptrdiff_t *ps) {
    sciml_arrays a = {.x = xs ? x : NULL, .y = ys ? y : NULL, .p = ps ? p : NULL};
    for (int i = 0; i < 3; i++) {
        a.xs[i] = xs ? xs[i] : 0;
        a.ys[i] = ys ? ys[i] : 0;
        if (i < 2) a.ps[i] = ps ? ps[i] : 0;
    }
    return a;
}

int sciml_network_run(const sciml_mskf *handle, int64_t columns, int32_t levels, const float *x,
                      const ptrdiff_t xs[3], float *y, const ptrdiff_t ys[3], float *p, const ptrdiff_t ps[2],
                      int32_t threads, char *message, size_t length) {
    if (!handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_network_run needs a handle from sciml_mskf_init");
    const sciml_arrays a = arrays_of(x, xs, y, ys, p, ps);
    return run(&handle->network, handle->f32, columns, levels, &a, threads, message, length);
}

int sciml_network_run_f64(const sciml_mskf *handle, int64_t columns, int32_t levels, const double *x,
                          const ptrdiff_t xs[3], double *y, const ptrdiff_t ys[3], double *p,
                          const ptrdiff_t ps[2], int32_t threads, char *message, size_t length) {
    if (!handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_network_run_f64 needs a handle from sciml_mskf_init");
    const sciml_arrays a = arrays_of(x, xs, y, ys, p, ps);
    return run(&handle->network, handle->f64, columns, levels, &a, threads, message, length);
}
