/* Restore the host's floating-point environment, and limit threads to the number of processors. */
#ifndef SCIML_HOST_ENVIRONMENT_H
#define SCIML_HOST_ENVIRONMENT_H

#include <fenv.h>
#include <stddef.h>
#include <stdint.h>

/* Save the calling thread's floating-point environment and set the default one: no traps (a column
 * that is not finite must not end the host), rounding to nearest, no flushing to zero (a worker of the pool
 * may have another environment than the thread that called, and bits must not depend on either). */
void sciml_hold(fenv_t *host);
/* Restore it with its flags; exceptions raised in between are discarded. */
void sciml_release(const fenv_t *host);

/* A call that is divided into pieces, each run by any thread; the results of `run` are added. */
typedef struct sciml_work {
    const void *call;
    int64_t pieces;
    size_t bytes; /* of a thread's scratch */
    int64_t (*run)(const void *call, int64_t piece, void *scratch);
} sciml_work;

/* Run all pieces on at most `threads` threads: see sciml_mskf.h. One thread is the caller's; the others live
 * as long as the call. No memory is taken from the heap for one thread. 0 without memory, else *result. */
int sciml_share(const sciml_work *work, int32_t threads, int64_t *result);

#endif
