/* A position in bytes whose lengths are not trusted. */
#ifndef SCIML_CURSOR_H
#define SCIML_CURSOR_H

#include <stddef.h>
#include <stdint.h>

/* Once `bad`, every further read returns NULL. */
typedef struct cursor {
    const uint8_t *at;
    size_t left;
    int bad;
} cursor;

static inline const uint8_t *take(cursor *c, uint64_t n) {
    if (c->bad || n > c->left) {
        c->bad = 1;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    c->left -= (size_t)n;
    return p;
}

#endif
