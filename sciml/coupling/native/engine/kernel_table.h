/* The kernels of this build, and the choice among them. */
#ifndef SCIML_KERNEL_TABLE_H
#define SCIML_KERNEL_TABLE_H

#include "engine/lstm_kernel.h"

/* The best kernel of this build for this processor, by precision (32 or 64 bits), instruction set and weight
 * format. The instruction set is at most `isa` ("baseline", "avx2", "avx512", "amx"); NULL or another name
 * sets no limit. NULL where no kernel reads the format. */
const sciml_kernel *sciml_kernel_for(int bits, const char *isa, enum sciml_weight_format format);

#endif
