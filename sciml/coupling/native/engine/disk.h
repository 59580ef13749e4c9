/* Files by their descriptors, because the C library's streams take memory from the host's heap. */
#ifndef SCIML_DISK_H
#define SCIML_DISK_H

#include <stddef.h>
#include <stdint.h>

/* Read a whole file of less than `most` bytes into a block of the arena. Status of sciml_mskf.h; `what` names
 * the file in the message: "the weights file". */
int sciml_read_file(const char *what, const char *path, size_t most, uint8_t **bytes, size_t *size,
                    char *message, size_t length);

/* Write all bytes at an offset of the file: 0, or errno. */
int sciml_write_at(int file, const void *bytes, size_t size, uint64_t at);

/* What errno means, in English. */
const char *sciml_error_text(int reason);

#endif
