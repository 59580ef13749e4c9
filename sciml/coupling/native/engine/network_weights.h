/* Reading a network from a weights file. */
#ifndef SCIML_NETWORK_WEIGHTS_H
#define SCIML_NETWORK_WEIGHTS_H

#include "engine/network.h"

struct sciml_cdf;
/* Read the network of a weights file; on failure nothing stays allocated. */
int sciml_network_load(const struct sciml_cdf *file, sciml_network *net, char *message, size_t length);
void sciml_network_free(sciml_network *net);

#endif
