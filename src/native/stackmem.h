/* Memory for C stacks; see stackmem.c. */
#ifndef PAUSABLE_STACKMEM_H
#define PAUSABLE_STACKMEM_H

#include <stddef.h>
#include <stdint.h>

typedef struct slab slab;

/* One stack's memory: usable from `low`, below which the guard is, up to `high`. */
typedef struct {
    char *low;
    char *high;
    slab *slab;
} stackmem;

typedef enum {
    GUARD_BY_MADVISE = 1,  /* no mapping of its own: hundreds of thousands are fine */
    GUARD_BY_MPROTECT = 2, /* two mappings for each stack: ends at vm.max_map_count */
    GUARD_NONE = 3,        /* asked for: an overflow corrupts memory */
} stackmem_guard;

typedef struct {
    size_t stacks;       /* given out */
    size_t mapped_bytes; /* address space: of all slabs */
    size_t slabs;
    stackmem_guard guard; /* 0 until the first stack was made */
} stackmem_stats;

#define STACKMEM_PAGE ((size_t)4096)
#define STACKMEM_GUARD ((size_t)16384)   /* a C function's frame must not reach over it */
#define STACKMEM_MIN ((size_t)393216)    /* CPython 3.13 needs 100 C levels to free nested objects */
#define STACKMEM_MAX ((size_t)1 << 30)

/* All need the GIL. */
int stackmem_take(size_t size, stackmem *out); /* 0, or -1 with MemoryError set */
void stackmem_give(stackmem *mem);
size_t stackmem_trim(const stackmem *mem, size_t keep_bytes); /* returns bytes that were looked at */
size_t stackmem_resident(const stackmem *mem);
stackmem_stats stackmem_get_stats(void);
int stackmem_set_guard(stackmem_guard guard);

#endif
