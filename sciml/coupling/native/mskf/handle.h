/* The handle of sciml_mskf.h: a weights file that is open, and the kernels that run it. */
#ifndef SCIML_HANDLE_H
#define SCIML_HANDLE_H

#include "engine/kernel_table.h"
#include "mskf/emulator.h"

struct sciml_mskf {
    sciml_mskf_description description;
    sciml_network network;
    const sciml_kernel *f32, *f64;
    sciml_emulator *emulator; /* NULL: the weights file has a bare network */
};

/* Whether this process has called sciml_mskf_init. */
int sciml_init_was_called(void);

#endif
