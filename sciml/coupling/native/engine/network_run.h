/* The bare network on any number of columns, with threads. */
#ifndef SCIML_NETWORK_RUN_H
#define SCIML_NETWORK_RUN_H

#include "engine/lstm_kernel.h"

/* Run the network on `columns` columns of `levels` levels. Status of sciml_mskf.h. */
int sciml_run_network(const sciml_network *net, const sciml_kernel *kernel, int64_t columns, int32_t levels,
                      const sciml_arrays *arrays, int32_t threads, char *message, size_t length);

#endif
