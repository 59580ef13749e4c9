/* Streams of DEFLATE (RFC 1951), without a library. */
#ifndef SCIML_INFLATE_H
#define SCIML_INFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Decode a stream of `packed` bytes whose content has `size` bytes. Returns 0, or 1 for a damaged stream and
 * for another size. */
int sciml_inflate(const uint8_t *stream, size_t packed, uint8_t *content, size_t size);

#endif
