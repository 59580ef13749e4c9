/* Lists of free blocks by size class; each block is a separate mapping. */
#include "engine/arena.h"

#include <stdint.h>
#include <string.h>

#if !defined(SCIML_HEAP) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#    define SCIML_HEAP
#endif
#if !defined(SCIML_HEAP) && defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#        define SCIML_HEAP
#    endif
#endif

#define ALIGNMENT ((size_t)64)

#ifdef SCIML_HEAP

#    include <stdlib.h>

void *sciml_take(size_t bytes) {
    void *block;
    return posix_memalign(&block, ALIGNMENT, bytes ? bytes : 1) ? NULL : block;
}

void sciml_give(void *block) {
    free(block);
}

#else

#    include <stdatomic.h>
#    include <sys/mman.h>

#    ifndef MAP_ANONYMOUS
#        define MAP_ANONYMOUS MAP_ANON
#    endif

#    define SMALLEST ((size_t)16384)
#    define CLASSES 53 /* four to an octave: up to 128 MiB; larger blocks go back to the system */
#    define SPINS 1000

/* Header before each block, in a separate cache line. */
typedef struct head {
    struct head *next; /* next block of the list; NULL while the block is in use */
    size_t size;       /* of the mapping */
    int class;         /* CLASSES: on no list */
} head;

static head *list[CLASSES];
static atomic_flag busy = ATOMIC_FLAG_INIT;

/* 16 KiB times 1, 1.25, 1.5, 1.75, 2, 2.5, ... */
static size_t bytes_of(int class) {
    return (SMALLEST << class / 4) / 4 * (size_t)(4 + class % 4);
}

static int class_of(size_t size) {
    int class = 0;
    while (class < CLASSES && bytes_of(class) < size)
        class++;
    return class;
}

/* Whether the lists are this thread's. In a forked child they may stay locked, so the wait is short:
 * without the lists a block comes from the system, or goes back to it. */
static int enter(void) {
    for (int n = 0; n < SPINS; n++)
        if (!atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) return 1;
    return 0;
}

static void leave(void) {
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

void *sciml_take(size_t bytes) {
    /* one cache line before the block for its header, and one behind it */
    if (bytes > SIZE_MAX - 2 * ALIGNMENT) return NULL;
    size_t size = bytes + 2 * ALIGNMENT;
    const int class = class_of(size);
    head *h = NULL;
    if (class < CLASSES) {
        size = bytes_of(class);
        if (enter()) {
            h = list[class];
            if (h) list[class] = h->next;
            leave();
        }
    }
    if (!h) {
        void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return NULL;
        h = mapped;
    }
    *h = (head){NULL, size, class};
    return (char *)h + ALIGNMENT;
}

void sciml_give(void *block) {
    if (!block) return;
    head *h = (head *)((char *)block - ALIGNMENT);
    if (h->class < CLASSES && enter()) {
        h->next = list[h->class];
        list[h->class] = h;
        leave();
    } else {
        munmap(h, h->size);
    }
}

#endif

void *sciml_take_zeroed(size_t count, size_t bytes) {
    if (bytes && count > SIZE_MAX / bytes) return NULL;
    void *block = sciml_take(count * bytes);
    if (block) memset(block, 0, count * bytes);
    return block;
}

void *sciml_enlarge(void *block, size_t old_bytes, size_t bytes) {
    void *larger = sciml_take(bytes);
    if (larger && block) {
        memcpy(larger, block, old_bytes);
        sciml_give(block);
    }
    return larger;
}

size_t sciml_aligned_bytes(size_t bytes) {
    return (bytes + 63) / 64 * 64 + 64;
}

void *sciml_aligned(size_t bytes) {
    return sciml_take(sciml_aligned_bytes(bytes));
}
