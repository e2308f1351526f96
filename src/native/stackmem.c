/* Memory for C stacks: slabs, guards, trimming.
 *
 * Rules:
 * - A slab is one mapping for SLAB_STACKS stacks of one size. It costs address space only; a stack
 *   that is used costs the pages that were touched.
 * - Below each stack is a guard: an overflow is a fault there, never a write into a neighbour.
 *   By madvise(MADV_GUARD_INSTALL) where the kernel has it (Linux 6.13), for that needs no mapping
 *   of its own; else by mprotect, which ends at vm.max_map_count: some way before that it is refused,
 *   and said why, for the rest of the process needs mappings too.
 * - No huge pages: the first touch would commit 2 MiB.
 * - A stack that is given back has its memory given back at once. A slab goes when all of its
 *   stacks are free, but for one, so that a pool that grows and shrinks does not map each time.
 * - The GIL is the lock.
 * Rejected: a mapping per stack (three times the cost, and the limit on mappings again).
 */
#include <Python.h> /* first, as it asks: it sets _GNU_SOURCE, too */

#include "stackmem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLAB_STACKS 64

struct slab {
    slab *next;
    char *base;
    size_t stride;
    uint64_t free;    /* a bit for each stack */
    uint64_t guarded; /* whose guard is in place: it stays when the stack is given back */
    uint64_t split;   /* whose guard is by mprotect: madvise may fail from some time on (mlockall) */
};

static slab *slabs;
static size_t stacks_out, mapped;
static stackmem_guard guard_mode;
static size_t guards_by_mprotect;

static slab *
slab_new(size_t stride)
{
    slab *s = PyMem_RawCalloc(1, sizeof *s);
    size_t bytes = stride * SLAB_STACKS;
    if (s == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    s->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (s->base == MAP_FAILED) {
        PyErr_Format(PyExc_MemoryError,
                     "no address space for %d more stacks of %zu bytes (%s); let jobs end, or lower"
                     " stack_size_bytes or the limit on jobs",
                     SLAB_STACKS, stride, strerror(errno));
        PyMem_RawFree(s);
        return NULL;
    }
    (void)madvise(s->base, bytes, MADV_NOHUGEPAGE); /* kernels without huge pages refuse */
    s->stride = stride;
    s->free = ~(uint64_t)0;
    s->next = slabs;
    slabs = s;
    mapped += bytes;
    return s;
}

#define SPARE_MAPPINGS 4096 /* for everybody else in the process */

/* How many guards may be made by mprotect, which splits a mapping in two each time. */
static size_t
guards_allowed(void)
{
    static size_t allowed;
    if (allowed == 0) {
        FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
        unsigned long most = 0;
        if (file == NULL || fscanf(file, "%lu", &most) != 1)
            most = 65530; /* what it is unless somebody has changed it */
        if (file != NULL)
            fclose(file);
        allowed = most > 2 * SPARE_MAPPINGS ? (most - SPARE_MAPPINGS) / 2 : 1;
    }
    return allowed;
}

int
stackmem_mprotect_guard(char *base)
{
    if (guards_by_mprotect < guards_allowed() && mprotect(base, STACKMEM_GUARD, PROT_NONE) == 0) {
        guards_by_mprotect++;
        return 0;
    }
    PyErr_Format(PyExc_MemoryError,
                 "no guard for one more stack: %zu have one, and each needs two mappings of"
                 " vm.max_map_count; raise that (sysctl), run Linux 6.13 or later, let jobs end, or"
                 " do without guards (PAUSABLE_STACK_GUARD=none)",
                 guards_by_mprotect);
    return -1;
}

void
stackmem_mprotect_undo(char *base)
{
    if (mprotect(base, STACKMEM_GUARD, PROT_READ | PROT_WRITE) == 0)
        guards_by_mprotect--;
}

static int
install_guard(char *base)
{
    if (guard_mode == GUARD_NONE)
        return 0;
    if (guard_mode != GUARD_BY_MPROTECT) {
        if (madvise(base, STACKMEM_GUARD, MADV_GUARD_INSTALL) == 0) {
            guard_mode = GUARD_BY_MADVISE;
            return 0;
        }
        guard_mode = GUARD_BY_MPROTECT;
    }
    return stackmem_mprotect_guard(base);
}

int
stackmem_take(size_t size, stackmem *out)
{
    size_t stride = page_up(size);
    slab *s = slabs;
    while (s != NULL && (s->stride != stride || s->free == 0))
        s = s->next;
    if (s == NULL && (s = slab_new(stride)) == NULL)
        return -1;
    int i = __builtin_ctzll(s->free);
    uint64_t bit = (uint64_t)1 << i;
    char *base = s->base + (size_t)i * stride;
    if (!(s->guarded & bit)) {
        if (install_guard(base) < 0)
            return -1;
        s->guarded |= bit;
        if (guard_mode == GUARD_BY_MPROTECT)
            s->split |= bit;
    }
    s->free &= ~bit;
    stacks_out++;
    out->low = base + STACKMEM_GUARD;
    out->high = base + stride;
    out->slab = s;
    out->lent = NULL;
    return 0;
}

int
stackmem_find(const char *base, stackmem *out)
{
    for (slab *s = slabs; s != NULL; s = s->next) {
        size_t offset = (size_t)(base - s->base);
        if (base < s->base || offset >= s->stride * SLAB_STACKS)
            continue;
        if (offset % s->stride != 0 || s->free >> (offset / s->stride) & 1)
            return -1;
        *out = (stackmem){s->base + offset + STACKMEM_GUARD, s->base + offset + s->stride, s, NULL};
        return 0;
    }
    return -1;
}

static void
slab_free(slab *s)
{
    munmap(s->base, s->stride * SLAB_STACKS);
    mapped -= s->stride * SLAB_STACKS;
    guards_by_mprotect -= (size_t)__builtin_popcountll(s->split);
    PyMem_RawFree(s);
}

static void
slab_drop_if_spare(slab *s)
{
    slab **at, *other;
    for (other = slabs; other != NULL; other = other->next)
        if (other != s && other->stride == s->stride && other->free != 0)
            break;
    if (other == NULL)
        return; /* the next stack comes from here */
    for (at = &slabs; *at != s; at = &(*at)->next)
        ;
    *at = s->next;
    slab_free(s);
}

void
stackmem_give(stackmem *mem)
{
    slab *s = mem->slab;
    size_t i = (size_t)(mem->low - s->base) / s->stride;
    (void)madvise(mem->low, (size_t)(mem->high - mem->low), MADV_DONTNEED);
    s->free |= (uint64_t)1 << i;
    stacks_out--;
    mem->slab = NULL;
    if (s->free == ~(uint64_t)0)
        slab_drop_if_spare(s);
}

size_t
stackmem_trim(const stackmem *mem, size_t keep_bytes)
{
    size_t usable = (size_t)(mem->high - mem->low);
    if (keep_bytes >= usable)
        return 0;
    (void)madvise(mem->low, usable - keep_bytes, MADV_DONTNEED);
    return usable - keep_bytes;
}

/* To ask about a page takes some 20 ns, so a stack is looked at from its top to where it is in use, and
 * on until nothing of GAP_PAGES is there: below that hardly ever is anything. */
#define GAP_PAGES 16

size_t
stackmem_resident(const stackmem *mem, const char *in_use)
{
    unsigned char present[256];
    size_t found = 0, below = 1;
    uintptr_t page = (uintptr_t)in_use & ~(STACKMEM_PAGE - 1);
    const char *low = (const char *)page, *end = mem->high;
    while (below != 0 && end > mem->low) {
        const char *at = low - GAP_PAGES * STACKMEM_PAGE;
        if (at < mem->low)
            at = mem->low;
        size_t pages = (size_t)(end - at) / STACKMEM_PAGE;
        if (pages > sizeof present) {
            pages = sizeof present;
            at = end - pages * STACKMEM_PAGE;
        }
        if (mincore((void *)at, pages * STACKMEM_PAGE, present) != 0)
            break;
        below = at > low; /* not yet down to where it is in use */
        for (size_t i = 0; i < pages; i++) {
            found += present[i] & 1;
            if (at + i * STACKMEM_PAGE < low)
                below += present[i] & 1;
        }
        end = at;
        if (at < low)
            low = at;
    }
    return found * STACKMEM_PAGE;
}

stackmem_stats
stackmem_get_stats(void)
{
    stackmem_stats stats = {.stacks = stacks_out, .mapped_bytes = mapped, .guard = guard_mode};
    for (slab *s = slabs; s != NULL; s = s->next)
        stats.slabs++;
    return stats;
}

int
stackmem_set_guard(stackmem_guard guard)
{
    if (stacks_out != 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the kind of guard can only be set while there are no stacks");
        return -1;
    }
    while (slabs != NULL) { /* their guards are of the old kind */
        slab *s = slabs;
        slabs = s->next;
        slab_free(s);
    }
    guard_mode = guard;
    return 0;
}
