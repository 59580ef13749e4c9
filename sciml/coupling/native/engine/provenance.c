/* What made this library, for `strings` and `sciml info`; the definition is a command-line option. */
#ifndef SCIML_PROVENANCE
#define SCIML_PROVENANCE "{}"
#endif

extern const char sciml_provenance[];
__attribute__((used)) const char sciml_provenance[] = "sciml_provenance:" SCIML_PROVENANCE;
