/* Failures of a session, and names of its files. */
#include "wrf/session.h"
#include "wrf/wrf_log.h"

#include <stdio.h>

static const char *const mode_name[] = {"original", "capture", "shadow", "emulate", "guard"};

const char *sciml_mode_name(int mode) {
    return mode_name[mode];
}

int sciml_original(const sciml_session *s, void *const a[]) {
    if (!s->original) return 0;
    SCIML_CALL(s->original, a);
    return 1;
}

void sciml_give_up(sciml_session *s, const char *why) {
    if (atomic_exchange(&s->mode, MODE_ORIGINAL) == MODE_ORIGINAL) return; /* reported before */
    pthread_mutex_lock(&s->lock);
    s->failed = SCIML_ARGUMENT;
    snprintf(s->failure, sizeof s->failure, "%s", why);
    pthread_mutex_unlock(&s->lock);
    if (s->settings.stop || !s->original) {
        if (sciml_ask_to_stop(why)) return;
        sciml_announce("%s", why);
        sciml_announce(
            "%s",
            s->original
                ? "the host has no wrf_error_fatal to stop it: its own scheme is used from here on"
                : "neither wrf_error_fatal nor the host's own scheme can be reached (link with the flags "
                  "of `sciml coupling flags`): there is NO convection from here on");
        return;
    }
    sciml_announce("%s", why);
    sciml_announce("the host's own scheme is used from here on, not the emulator");
}

void sciml_record_path(const sciml_session *s, const sciml_record *r, char *path, size_t size) {
    snprintf(path, size, "%s/sciml_mskf_%s_dx%g_%dx%d_s%08d_r%04d.nc", s->settings.directory,
             mode_name[s->settings.mode], (double)r->dx, r->nx, r->ny, r->first_step, s->rank);
}

void sciml_not_written(sciml_session *s, const char *why) {
    if (!atomic_exchange(&s->not_written, 1))
        sciml_announce("WARNING: %s; the host's fields do not depend on it", why);
}
