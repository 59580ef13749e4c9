/* Blocks by size class on lists, each block a mapping of its own. */
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

/* Before each block, in a line of its own. */
typedef struct head {
    struct head *next; /* of the list; NULL while the block is in use */
    size_t room;       /* of the mapping */
    int class;         /* CLASSES: on no list */
} head;

static head *list[CLASSES];
static atomic_flag busy = ATOMIC_FLAG_INIT;

/* 16 KiB times 1, 1.25, 1.5, 1.75, 2, 2.5, ... */
static size_t room_of(int class) {
    return (SMALLEST << class / 4) / 4 * (size_t)(4 + class % 4);
}

static int class_of(size_t room) {
    int class = 0;
    while (class < CLASSES && room_of(class) < room)
        class++;
    return class;
}

/* Whether the lists are this thread's. A forked child may find them locked for ever, so nobody waits long:
 * without them a block comes from the system, or goes back to it. */
static int enter(void) {
    for (int n = 0; n < SPINS; n++)
        if (!atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) return 1;
    return 0;
}

static void leave(void) {
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

void *sciml_take(size_t bytes) {
    /* a line before the block for its head, and one behind it */
    if (bytes > SIZE_MAX - 2 * ALIGNMENT) return NULL;
    size_t room = bytes + 2 * ALIGNMENT;
    const int class = class_of(room);
    head *found = NULL;
    if (class < CLASSES) {
        room = room_of(class);
        if (enter()) {
            found = list[class];
            if (found) list[class] = found->next;
            leave();
        }
    }
    if (!found) {
        void *mapped = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return NULL;
        found = mapped;
    }
    *found = (head){NULL, room, class};
    return (char *)found + ALIGNMENT;
}

void sciml_give(void *block) {
    if (!block) return;
    head *h = (head *)((char *)block - ALIGNMENT);
    if (h->class < CLASSES && enter()) {
        h->next = list[h->class];
        list[h->class] = h;
        leave();
    } else {
        munmap(h, h->room);
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
