/* The floating-point environment of the host, and the threads of a call. */
#define _GNU_SOURCE
#include "engine/host_environment.h"
#include "engine/arena.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#    include <sched.h>
#endif

void sciml_hold(fenv_t *host) {
    fegetenv(host);
    fesetenv(FE_DFL_ENV);
}

void sciml_release(const fenv_t *host) {
    fesetenv(host);
}

/* Number of processors that this process may use. */
static int count_processors(void) {
#ifdef __linux__
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == 0) return CPU_COUNT(&usable);
#endif
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : processors > 1024 ? 1024 : (int)processors;
}

static int team_of(int32_t asked, int64_t pieces) {
    int64_t team = asked < pieces ? asked : pieces;
    if (team <= 1) return 1; /* the usual case, without the system call that counts processors */
    const int processors = count_processors();
    const char *limit = getenv("OMP_THREAD_LIMIT");
    const long most = limit ? strtol(limit, NULL, 10) : 0;
    if (team > processors) team = processors; /* more would not be faster */
    if (most > 0 && team > most) team = (int64_t)most;
    return (int)team;
}

/* Data that the threads of a call share. */
typedef struct crew {
    const sciml_work *work;
    _Atomic(int64_t) next;   /* the next piece to run */
    _Atomic(int64_t) result; /* summed up */
} crew;

static void *work_along(void *shared) {
    crew *c = shared;
    const sciml_work *w = c->work;
    fenv_t host;
    sciml_hold(&host);
    void *scratch = w->pieces ? sciml_take(w->bytes) : NULL;
    int64_t result = 0;
    for (int64_t n; scratch && (n = atomic_fetch_add(&c->next, 1)) < w->pieces;)
        result += w->run(w->call, n, scratch);
    sciml_give(scratch);
    atomic_fetch_add(&c->result, result);
    sciml_release(&host);
    return NULL;
}

int sciml_share(const sciml_work *work, int32_t threads, int64_t *result) {
    crew c = {.work = work};
    pthread_t *thread = NULL;
    const int team = team_of(threads, work->pieces);
    int begun = 0;
    if (team > 1) {
        /* the host's threads handle its signals */
        sigset_t all, before;
        sigfillset(&all);
        thread = sciml_take(sizeof *thread * (size_t)team);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        /* the system may create fewer threads */
        while (thread && begun < team - 1 && pthread_create(&thread[begun], NULL, work_along, &c) == 0)
            begun++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    work_along(&c);
    for (int n = 0; n < begun; n++)
        pthread_join(thread[n], NULL);
    sciml_give(thread);
    /* the other threads run the pieces of a thread without memory */
    if (work->pieces && atomic_load(&c.next) < work->pieces) return 0;
    *result = atomic_load(&c.result);
    return 1;
}
