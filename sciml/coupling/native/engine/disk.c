/* Read and write whole files, in as many system calls as needed. */
#define _GNU_SOURCE
#include "engine/disk.h"
#include "engine/arena.h"
#include "engine/message.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SIZE ((size_t)1 << 16)

const char *sciml_error_text(int reason) {
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#    if __GLIBC_PREREQ(2, 32)
    const char *text = strerrordesc_np(reason); /* strerror would look up a translation, which takes memory */
    return text ? text : "unknown error";
#    endif
#endif
    return strerror(reason);
}

/* Read to the end of the file, or to `most` bytes: 0, or errno. */
static int read_to_end(int file, size_t most, uint8_t **bytes, size_t *size) {
    size_t capacity = most < FIRST_SIZE ? most : FIRST_SIZE;
    uint8_t *block = sciml_take(capacity);
    *size = 0;
    *bytes = NULL;
    while (block) {
        const ssize_t n = read(file, block + *size, capacity - *size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const int reason = errno;
            sciml_give(block);
            return reason;
        }
        *size += (size_t)n;
        if (n == 0 || *size == most) {
            *bytes = block;
            return 0;
        }
        if (*size < capacity) continue;
        const size_t more = capacity > most / 2 ? most : 2 * capacity;
        uint8_t *larger = sciml_enlarge(block, capacity, more);
        if (!larger) sciml_give(block);
        block = larger;
        capacity = more;
    }
    return ENOMEM;
}

int sciml_read_file(const char *what, const char *path, size_t most, uint8_t **bytes, size_t *size,
                    char *message, size_t length) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    *bytes = NULL;
    if (file < 0)
        return sciml_say(SCIML_FILE, message, length, "cannot open %s %s: %s", what, path,
                         sciml_error_text(errno));
    const int reason = read_to_end(file, most, bytes, size);
    close(file);
    if (reason == ENOMEM) return sciml_say(SCIML_MEMORY, message, length, "no memory to read %s", path);
    if (reason)
        return sciml_say(SCIML_FILE, message, length, "cannot read %s %s: %s", what, path,
                         sciml_error_text(reason));
    if (*size < most) return SCIML_OK;
    sciml_give(*bytes);
    *bytes = NULL;
    return sciml_say(SCIML_FILE, message, length, "cannot read %s %s: it has %zu bytes or more", what, path,
                     most);
}

int sciml_write_at(int file, const void *bytes, size_t size, uint64_t at) {
    const uint8_t *from = bytes;
    while (size) {
        const ssize_t n = pwrite(file, from, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return EIO;
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}
