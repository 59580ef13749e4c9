/* What made this library, for `strings`, for `sciml info`, and for the files that the library writes. */
#include <string.h>

#ifndef SCIML_PROVENANCE
#    define SCIML_PROVENANCE "{}" /* else an option of the compiler: version, compiler and flags as JSON */
#endif
#define MARK "sciml_provenance:"

const char *sciml_library_facts(void);

static const char facts[] = MARK SCIML_PROVENANCE;

const char *sciml_library_facts(void) {
    return facts + strlen(MARK);
}
