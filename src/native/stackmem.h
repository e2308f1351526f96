/* Memory for C stacks; see stackmem.c. */
#ifndef PAUSABLE_STACKMEM_H
#define PAUSABLE_STACKMEM_H

#include <stddef.h>
#include <stdint.h>

typedef struct slab slab;
typedef struct lent lent;

/* One stack's memory: usable from `low`, below which the guard is, up to `high`; both at a page. */
typedef struct {
    char *low;
    char *high;
    slab *slab; /* that it is a part of, or NULL: */
    lent *lent; /* memory of an allocator of the user's (allocator.c) */
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
#define STACKMEM_TAIL ((size_t)16384)    /* of each: a cstack, and frames of Python functions */
#define STACKMEM_MIN ((size_t)393216)    /* CPython 3.13 needs 100 C levels to free nested objects */
#define STACKMEM_MAX ((size_t)1 << 30)

#ifndef MADV_GUARD_INSTALL /* of Linux 6.13; older C libraries do not know it */
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

static inline size_t
page_up(size_t bytes)
{
    return (bytes + STACKMEM_PAGE - 1) & ~(STACKMEM_PAGE - 1);
}

/* All need the GIL. */
int stackmem_take(size_t size, stackmem *out); /* 0, or -1 with MemoryError set */
void stackmem_give(stackmem *mem);
int stackmem_find(const char *base, stackmem *out); /* the stack that begins there, guard included */
int stackmem_mprotect_guard(char *base); /* 0, or -1 with MemoryError set */
void stackmem_mprotect_undo(char *base);
size_t stackmem_trim(const stackmem *mem, size_t keep_bytes); /* returns bytes that were looked at */
size_t stackmem_resident(const stackmem *mem, const char *in_use); /* from there upwards */
stackmem_stats stackmem_get_stats(void);
int stackmem_set_guard(stackmem_guard guard);

#endif
