/* Memory of the library, which is mapped from the system and is not part of the host's heap. */
#ifndef SCIML_ARENA_H
#define SCIML_ARENA_H

#include <stddef.h>

/* Some hosts read uninitialised heap memory (WRF 4.3.3 on 2 ranks does), so that their results depend on
 * which blocks were freed before. All of the library's memory is outside the heap, so the heap is the same
 * with and without the library: nothing here calls malloc or free, from loading the library on.
 *
 * Blocks are aligned to 64 bytes; the content of a block is undefined. A block that is given back is reused
 * for the next one of its size. Any number of threads may call, and the child of a fork too.
 *
 * A build with -DSCIML_HEAP, or with a sanitizer, uses the heap, so that sanitizers and valgrind see each
 * block. */

/* Take a block; NULL without memory. */
void *sciml_take(size_t bytes);
/* Take a block of zeros; NULL also if count * bytes overflows. */
void *sciml_take_zeroed(size_t count, size_t bytes);
/* A larger block with the content of the old one, which is given back; on failure NULL, and the old one
 * stays. A NULL block is a new one. */
void *sciml_enlarge(void *block, size_t old_bytes, size_t bytes);
/* Give a block back; NULL has no effect. */
void sciml_give(void *block);

/* Take memory with space for one vector behind it, beyond which kernels do not read. */
void *sciml_aligned(size_t bytes);
/* The size of such a block. */
size_t sciml_aligned_bytes(size_t bytes);

#endif
