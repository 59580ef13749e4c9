/* Reports of a namelist that is missing or had no effect. */
#define _GNU_SOURCE
#include "wrf/namelist.h"
#include "mskf/handle.h"
#include "wrf/session.h"
#include "wrf/wrf_log.h"

#include <dlfcn.h>
#include <errno.h> /* program_invocation_short_name */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "SCIML_MSKF_NAMELIST"
#define FILE_NAME "sciml_mskf.nml"

static const char *named_path(void) {
    const char *path = getenv(VARIABLE);
    return path && *path ? path : NULL;
}

const char *sciml_namelist_path(void) {
    const char *path = named_path();
    return path ? path : FILE_NAME;
}

static const char *working_directory(char *buffer, size_t size) {
    return getcwd(buffer, size) ? buffer : "(unknown)";
}

void sciml_namelist_explain(void) {
    char here[512];
    const char *named = named_path();
    working_directory(here, sizeof here);
    if (named)
        sciml_announce("looked for the namelist at %.400s, which the environment variable " VARIABLE
                       " names (working directory: %.400s)",
                       named, here);
    else
        sciml_announce("looked for the namelist " FILE_NAME
                       " in the working directory %.400s; the environment variable " VARIABLE " is not set",
                       here);
    if (named && access(FILE_NAME, F_OK) == 0)
        sciml_announce("%.400s/" FILE_NAME " exists and was not read, because " VARIABLE
                       " is set: unset the variable to use that file",
                       here);
    sciml_announce("without a namelist the mode is 'original': nothing is captured, compared or emulated");
    sciml_announce(
        "to use another mode, copy " FILE_NAME
        " (`sciml coupling build` writes one beside the library) into the directory that the model "
        "starts in, or set " VARIABLE " to its path on every rank (mpiexec -x or -genv)");
}

/* WRF's other programs are linked with the same flags and never call the scheme. */
static int is_preprocessor(void) {
    static const char *const names[] = {"real", "ideal", "ndown", "nup", "tc"};
#ifdef __linux__
    const char *name = program_invocation_short_name;
#else
    const char *name = "";
#endif
    const size_t size = strcspn(name, ".");
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        if (strlen(names[n]) == size && strncmp(name, names[n], size) == 0) return 1;
    return 0;
}

/* Whether the process exports both the scheme and WRF's messages, as with the link flags. */
static int is_wrf(void) {
    return dlsym(RTLD_DEFAULT, "wrf_message_") &&
           (dlsym(RTLD_DEFAULT, SCIML_GNU_SCHEME) || dlsym(RTLD_DEFAULT, SCIML_INTEL_SCHEME));
}

void sciml_namelist_not_used(void) {
    static sciml_settings settings; /* large */
    char why[SCIML_MESSAGE_SIZE];
    const char *path = sciml_namelist_path();
    if (sciml_init_was_called() || access(path, R_OK) != 0 || is_preprocessor() || !is_wrf()) return;
    const int status = sciml_settings_read(path, &settings, why, sizeof why);
    if ((!status && settings.mode == MODE_ORIGINAL) || sciml_rank() != 0) return;
    sciml_announce(
        "WARNING: the convection scheme was never called in this run, so that the settings of %.400s "
        "(%s%s%s) had no effect: the library acts where cu_physics = 11 in namelist.input",
        path, status ? "which cannot be used: " : "mode = '", status ? why : sciml_mode_name(settings.mode),
        status ? "" : "'");
}
