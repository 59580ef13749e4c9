/* Bundles: weights files whose arrays and attributes are one variable of deflated bytes. */
#ifndef SCIML_BUNDLE_H
#define SCIML_BUNDLE_H

#include "engine/netcdf_file.h"

/* Put the content of a bundle, if the file has one, in the place of its variables and after its attributes.
 */
int sciml_open_bundle(sciml_cdf *file, const char *path, char *message, size_t length);

#endif
