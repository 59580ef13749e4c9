/* The floating-point environment of the host, and the number of threads. */
#include "host.h"

#ifdef _OPENMP
#    include <omp.h>
#    include <stdatomic.h>
#    include <unistd.h>
#endif

void sciml_hold(fenv_t *host) {
    fegetenv(host);
    fesetenv(FE_DFL_ENV);
}

void sciml_release(const fenv_t *host) {
    fesetenv(host);
}

#ifdef _OPENMP
/* Whether this process may use threads: a run-time library whose pool was left behind in the parent waits
 * for it for ever, so that only the process that first ran threads ever does. */
static int has_the_pool(void) {
    static _Atomic long owner;
    long nobody = 0;
    const long mine = (long)getpid();
    return atomic_compare_exchange_strong(&owner, &nobody, mine) || nobody == mine;
}
#endif

int sciml_team(int32_t asked, int64_t pieces) {
    int64_t team = asked < pieces ? asked : pieces;
    if (team <= 1) return 1; /* as hosts mostly ask: the count of processors is a system call */
#ifdef _OPENMP
    /* more would not be faster, and libgomp ends the process when it cannot start one */
    const int processors = omp_get_num_procs(), limit = omp_get_thread_limit();
    if (team > processors) team = processors;
    if (team > limit) team = limit;
    if (team > 1 && !has_the_pool()) team = 1;
#else
    team = 1;
#endif
    return (int)team;
}
