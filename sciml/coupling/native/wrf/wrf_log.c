/* Lines are written to standard error, which is rsl.error.NNNN if WRF runs on ranks. wrf_message of WRF is
 * not used, because it takes memory from the heap, and the library must not change the heap.
 *
 * WRF's wrf_error_fatal and wrf_get_myproc are external subroutines, looked up by name where the executable
 * exports them (`sciml coupling flags` gives the link line that does). */
#define _GNU_SOURCE
#include "wrf/wrf_log.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 1200

/* A Fortran subroutine of one CHARACTER argument; its length comes last, by value. */
typedef void (*routine_of_text)(const char *text, size_t length);
typedef void (*routine_of_integer)(int *value);

void sciml_announce(const char *format, ...) {
    char text[LINE] = "sciml: ";
    const size_t begin = strlen(text);
    va_list values;
    va_start(values, format);
    vsnprintf(text + begin, sizeof text - begin - 1, format, values);
    va_end(values);
    const size_t size = strlen(text);
    text[size] = '\n';                                    /* the buffer has one more byte */
    if (write(STDERR_FILENO, text, size + 1) < 0) return; /* no other way to report */
}

int sciml_ask_to_stop(const char *text) {
    char whole[LINE];
    routine_of_text fatal;
    snprintf(whole, sizeof whole, "sciml: %s", text);
    *(void **)&fatal = dlsym(RTLD_DEFAULT, "wrf_error_fatal_");
    if (!fatal) return 0;
    fatal(whole, strlen(whole));
    return 1;
}

int sciml_rank(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK",     "PMIX_RANK",
                                        "MV2_COMM_WORLD_RANK",  "SLURM_PROCID", "MPI_LOCALRANKID"};
    routine_of_integer ask;
    int rank = -1;
    *(void **)&ask = dlsym(RTLD_DEFAULT, "wrf_get_myproc_");
    if (ask) ask(&rank);
    for (size_t n = 0; rank < 0 && n < sizeof names / sizeof *names; n++) {
        const char *value = getenv(names[n]);
        if (value && *value) rank = atoi(value);
    }
    return rank < 0 ? 0 : rank;
}
