#ifndef SCIML_SHA256_H
#define SCIML_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sciml_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    size_t held;
    uint8_t block[64];
} sciml_sha256;

void sciml_sha256_start(sciml_sha256 *s);
void sciml_sha256_add(sciml_sha256 *s, const uint8_t *data, size_t size);
/* 64 lower-case hexadecimal digits and a zero. */
void sciml_sha256_finish(sciml_sha256 *s, char digits[65]);

#endif
