/* The whole emulator on the columns of a call. */
#ifndef SCIML_EMULATE_H
#define SCIML_EMULATE_H

#include "mskf/emulator.h"

/* sciml_mskf_run on columns whose outputs (NCA, which is also an input, and KIND too) have other strides than
 * their inputs. */
int sciml_emulate(const sciml_mskf *handle, const sciml_columns *columns, const sciml_places *out,
                  char *message, size_t length);

#endif
