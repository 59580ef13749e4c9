/* The bare network on any number of columns, with threads. */
#include "engine/network_run.h"
#include "engine/arena.h"
#include "engine/host_environment.h"
#include "engine/message.h"

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

int sciml_run_network(const sciml_network *net, const sciml_kernel *kernel, int64_t columns, int32_t levels,
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
