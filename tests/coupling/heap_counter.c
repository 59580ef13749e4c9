/* Preloaded before a host: counts the calls of the heap, and those inside the library's entry.
 *
 * At the end of the process it writes into the file that HEAP_COUNTS names: all calls, a number that depends
 * on their kinds, sizes and order, and the calls inside the entry. The host's own scheme, if the library runs
 * it, counts as inside. */
#define _GNU_SOURCE
#include "wrf/sciml_mskf_arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static _Thread_local int inside;
static _Atomic(long) all, within;
static _Atomic(uint64_t) order;

static void note(int kind, size_t size) {
    atomic_fetch_add(&all, 1);
    if (inside) atomic_fetch_add(&within, 1);
    const uint64_t mixed = (atomic_load(&order) ^ ((uint64_t)kind << 56 ^ size)) * 0x9e3779b97f4a7c15u;
    atomic_store(&order, mixed ^ mixed >> 29);
}

void *malloc(size_t size) {
    note(1, size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    note(2, count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    note(3, size);
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
    note(4, size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note(5, size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    note(6, size);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

void free(void *block) {
    note(7, 0);
    __libc_free(block);
}

#define PARAMETER(name) void *name
#define ITEM(name) name

/* NULL in a host without the library; dlsym would take memory for its error. */
extern void sciml_mskf_original(void (*scheme)(void)) __attribute__((weak));
extern void sciml_mskf_cps(SCIML_ARGUMENTS(PARAMETER)) __attribute__((weak));
extern void __module_cu_mskf_MOD_mskf_cps(SCIML_ARGUMENTS(PARAMETER)) __attribute__((weak));

/* The host's own scheme, which the library runs: not inside. */
static void own(SCIML_ARGUMENTS(PARAMETER)) {
    const int before = inside;
    inside = 0;
    __module_cu_mskf_MOD_mskf_cps(SCIML_ARGUMENTS(ITEM));
    inside = before;
}

__attribute__((constructor)) static void find(void) {
    if (sciml_mskf_original) sciml_mskf_original((void (*)(void))own);
}

void __wrap___module_cu_mskf_MOD_mskf_cps(SCIML_ARGUMENTS(PARAMETER)) {
    inside++;
    sciml_mskf_cps(SCIML_ARGUMENTS(ITEM));
    inside--;
}

__attribute__((destructor)) static void report(void) {
    char line[100];
    const char *path = getenv("HEAP_COUNTS");
    const int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    const int size =
        snprintf(line, sizeof line, "%ld %llu %ld\n", (long)all, (unsigned long long)order, (long)within);
    if (file < 0 || write(file, line, (size_t)size) != size) return;
    close(file);
}
