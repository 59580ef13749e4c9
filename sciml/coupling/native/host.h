/* What the library owes its host: the floating-point environment as it was, and no more threads than
 * there are processors. */
#ifndef SCIML_HOST_H
#define SCIML_HOST_H

#include <fenv.h>
#include <stdint.h>

/* Set the calling thread's floating-point environment aside and take the default one: no traps (a column
 * that is not finite must not end the host), rounding to nearest, no flushing to zero (a worker of the pool
 * may have another environment than the thread that called, and bits must not depend on either). */
void sciml_hold(fenv_t *host);
/* Back to it, flags and all: nothing that was raised in between shows. */
void sciml_release(const fenv_t *host);

/* How many threads share `pieces` pieces of work where a host asks for `asked`: see sciml_mskf.h. */
int sciml_team(int32_t asked, int64_t pieces);

#endif
