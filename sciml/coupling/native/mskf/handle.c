/* The entries of sciml_mskf.h that open, describe and close, and that run the bare network. */
#include "mskf/handle.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/message.h"
#include "engine/netcdf_reader.h"
#include "engine/network_run.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(int) init_called;

int sciml_init_was_called(void) {
    return atomic_load(&init_called);
}

/* Choose the kernels of the instruction set SCIML_ISA, the best ones without it. No other set takes the place
 * of one that is missing, because its outputs would have other bits. */
static int choose_kernels(sciml_mskf *made, char *message, size_t length) {
    const char *asked = getenv("SCIML_ISA");
    made->f32 = sciml_kernel_for(32, asked, made->network.format);
    made->f64 = sciml_kernel_for(64, asked, made->network.format);
    if (!made->f32 || !made->f64)
        return sciml_say(
            SCIML_SCHEMA, message, length,
            "this build has no kernel for the weight format of the file: build the library with the "
            "sciml that wrote the file");
    if (!asked || !*asked || strcmp(asked, made->f32->isa) == 0) return SCIML_OK;
    /* networks of floats have no kernel of their own for tiles */
    if (strcmp(asked, "amx") == 0 &&
        strcmp(sciml_kernel_for(32, NULL, SCIML_WEIGHTS_REDUCED)->isa, asked) == 0)
        return SCIML_OK;
    const char *best = sciml_kernel_for(32, NULL, made->network.format)->isa;
    return sciml_say(SCIML_ARGUMENT, message, length,
                     "the environment variable SCIML_ISA is `%s`; this processor and this build have %s: "
                     "choose one of them, or unset it",
                     asked,
                     strcmp(best, "amx") == 0      ? "baseline, avx2, avx512 and amx"
                     : strcmp(best, "avx512") == 0 ? "baseline, avx2 and avx512"
                     : strcmp(best, "avx2") == 0   ? "baseline and avx2"
                                                   : "baseline alone");
}

static int read_schema(const sciml_cdf *file, const char *path, int32_t *schema, char *message,
                       size_t length) {
    const int expected = file->content ? SCIML_BUNDLE_SCHEMA : SCIML_WEIGHTS_SCHEMA;
    if (sciml_cdf_integer(file, "sciml_schema", schema, message, length))
        return sciml_say(SCIML_SCHEMA, message, length,
                         "%s has no schema number, this library reads schema %d: export the weights and "
                         "build the library with the same sciml",
                         path, expected);
    if (*schema == expected) return SCIML_OK;
    return sciml_say(SCIML_SCHEMA, message, length,
                     "%s has schema %d, this library reads schema %d: export the weights and "
                     "build the library with the same sciml",
                     path, *schema, expected);
}

/* Put the path of the file before a message that does not show it. */
static void name_file(const char *path, char *message, size_t length) {
    const size_t prefix = strlen(path) + 2;
    if (!message || strstr(message, path) || prefix >= length) return;
    const size_t size = strlen(message), space = length - 1 - prefix;
    const size_t copied = size < space ? size : space;
    memmove(message + prefix, message, copied);
    message[prefix + copied] = '\0';
    memcpy(message, path, prefix - 2);
    memcpy(message + prefix - 2, ": ", 2);
}

static int open_weights(const char *path, sciml_mskf **handle, char *message, size_t length) {
    sciml_cdf file;
    int status = sciml_cdf_open(path, &file, message, length);
    if (status) return status;
    sciml_mskf *made = sciml_take_zeroed(1, sizeof *made);
    sciml_mskf_description *d = made ? &made->description : NULL;
    if (!made) status = sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    if (!status) status = read_schema(&file, path, &d->schema, message, length);
    if (!status) status = sciml_network_load(&file, &made->network, message, length);
    if (!status) status = choose_kernels(made, message, length);
    /* a file with neither has a bare network */
    if (!status && (sciml_cdf_attribute(&file, "emulator") || sciml_cdf_attribute(&file, "pooled_units")))
        status = sciml_emulator_load(&file, &made->network, &made->emulator, message, length);
    sciml_cdf_close(&file);
    if (status) {
        if (made) sciml_network_free(&made->network);
        sciml_give(made);
        name_file(path, message, length);
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
    atomic_store(&init_called, 1);
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
    return handle ? handle->f32->isa : sciml_kernel_for(32, NULL, SCIML_WEIGHTS_FLOAT)->isa;
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
    return sciml_run_network(&handle->network, handle->f32, columns, levels, &a, threads, message, length);
}

int sciml_network_run_f64(const sciml_mskf *handle, int64_t columns, int32_t levels, const double *x,
                          const ptrdiff_t xs[3], double *y, const ptrdiff_t ys[3], double *p,
                          const ptrdiff_t ps[2], int32_t threads, char *message, size_t length) {
    if (!handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_network_run_f64 needs a handle from sciml_mskf_init");
    const sciml_arrays a = arrays_of(x, xs, y, ys, p, ps);
    return sciml_run_network(&handle->network, handle->f64, columns, levels, &a, threads, message, length);
}
