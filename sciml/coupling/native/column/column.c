/* The entries of sciml_column.h. */
#include "column/column_scheme.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/message.h"
#include "mskf/handle.h"

static int open_scheme(const char *path, const char *name, sciml_column **handle, char *message,
                       size_t length) {
    sciml_column *made = sciml_take_zeroed(1, sizeof *made);
    if (!made) return sciml_say(SCIML_MEMORY, message, length, "no memory for the emulator");
    sciml_cdf file;
    int status = sciml_mskf_init(path, &made->network, message, length);
    if (!status && !(status = sciml_cdf_open(path, &file, message, length))) {
        status =
            sciml_column_scheme_read(&file, &made->network->network, name, &made->scheme, message, length);
        sciml_cdf_close(&file);
    }
    if (status)
        sciml_column_finalise(&made);
    else
        *handle = made;
    return status;
}

int sciml_column_init(const char *path, const char *scheme, sciml_column **handle, char *message,
                      size_t length) {
    if (handle) *handle = NULL;
    if (!path || !handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_column_init needs a path and a place for the handle");
    fenv_t host;
    sciml_hold(&host);
    const int status = open_scheme(path, scheme, handle, message, length);
    sciml_release(&host);
    return status;
}

void sciml_column_finalise(sciml_column **handle) {
    if (handle && *handle) {
        sciml_mskf_finalise(&(*handle)->network);
        sciml_give(*handle);
        *handle = NULL;
    }
}

int sciml_column_describe(const sciml_column *handle, sciml_column_description *description, char *message,
                          size_t length) {
    if (!handle || !description)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_column_describe needs a handle from sciml_column_init");
    *description = handle->scheme.fields;
    return sciml_say(SCIML_OK, message, length, "%s", "");
}

typedef struct call {
    const sciml_column *handle;
    int64_t columns;
    int32_t levels;
    const double *in3, *in2;
    double *out3, *out2;
    size_t kernel_bytes;
} call;

/* Run one tile of columns; return the number of invalid ones. */
static int64_t run_tile(const void *whole, int64_t n, void *scratch) {
    const call *c = whole;
    const sciml_column_scheme *s = &c->handle->scheme;
    const sciml_network *net = &c->handle->network->network;
    const sciml_kernel *kernel = c->handle->network->f64;
    const int64_t first = n * kernel->block, left = c->columns - first;
    const int32_t count = (int32_t)(left < kernel->block ? left : kernel->block), levels = c->levels;
    const ptrdiff_t wide = (ptrdiff_t)levels * s->channels, heads = (ptrdiff_t)levels * s->heads;
    double *x = (double *)((char *)scratch + c->kernel_bytes);
    double *y = x + wide * kernel->block, *work = y + heads * kernel->block;
    int valid[64] = {0};
    for (int32_t i = 0; i < count; i++)
        valid[i] =
            sciml_column_channels(s, c->columns, levels, first + i, c->in3, c->in2, x + (ptrdiff_t)i * wide);
    const sciml_arrays arrays = {.x = x, .y = y, .xs = {wide, s->channels, 1}, .ys = {heads, s->heads, 1}};
    kernel->run(net, levels, count, 0, &arrays, scratch);
    int64_t invalid = 0;
    for (int32_t i = 0; i < count; i++) {
        double *own = y + (ptrdiff_t)i * heads;
        if (valid[i])
            invalid += !sciml_column_outputs(s, c->columns, levels, first + i, c->in3, c->in2, own, work,
                                             c->out3, c->out2);
        else {
            invalid++;
            sciml_column_clear(s, c->columns, levels, first + i, c->out3, c->out2);
        }
    }
    return invalid;
}

int sciml_column_run(const sciml_column *handle, int64_t columns, int32_t levels, const double *in3,
                     const double *in2, double *out3, double *out2, int32_t threads, char *message,
                     size_t length) {
    if (!handle)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "sciml_column_run needs a handle from sciml_column_init");
    const sciml_column_description *d = &handle->scheme.fields;
    const int32_t least = handle->scheme.least_levels;
    if (columns < 0 || levels < 1 || levels > SCIML_MAX_LEVELS || threads < 1 || threads > SCIML_MAX_THREADS)
        return sciml_say(SCIML_ARGUMENT, message, length,
                         "%lld columns, %d levels, %d threads: this library takes any number of "
                         "columns, 1 to %d levels, 1 to %d threads",
                         (long long)columns, levels, threads, SCIML_MAX_LEVELS, SCIML_MAX_THREADS);
    if (levels < least)
        return sciml_say(
            SCIML_ARGUMENT, message, length,
            "the columns have %d levels, and the scheme of the weights file is declared for %d or "
            "more: give columns of more levels",
            levels, least);
    if (!in3 || (!in2 && d->input_scalars) || (!out3 && d->output_profiles) || (!out2 && d->output_scalars))
        return sciml_say(SCIML_ARGUMENT, message, length, "an array of the scheme is NULL");
    const sciml_kernel *kernel = handle->network->f64;
    call c = {handle, columns, levels, in3, in2, out3, out2, 0};
    c.kernel_bytes = (kernel->scratch(&handle->network->network, levels) + 63) / 64 * 64;
    const size_t rows =
        (size_t)(handle->scheme.channels + handle->scheme.heads) * (size_t)kernel->block + SCIML_COLUMN_WORK;
    const sciml_work work = {&c, columns / kernel->block + (columns % kernel->block != 0),
                             sciml_aligned_bytes(c.kernel_bytes + rows * (size_t)levels * sizeof(double)),
                             run_tile};
    int64_t invalid;
    if (!sciml_share(&work, threads, &invalid))
        return sciml_say(SCIML_MEMORY, message, length, "no memory for %zu bytes of scratch", work.bytes);
    if (invalid)
        return sciml_say(
            SCIML_OK, message, length,
            "%lld of %lld columns are invalid: their inputs are not finite or not positive where "
            "they must be; their outputs are zero",
            (long long)invalid, (long long)columns);
    return sciml_say(SCIML_OK, message, length, "%s", "");
}
