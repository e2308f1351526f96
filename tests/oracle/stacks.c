/* libcrypto's allocator, replaced so that fibre stacks can be counted.
 *
 * - 3.0 has no ASYNC_set_mem_functions, so the general hook is used: a stack is an allocation of
 *   32768 bytes made in async_posix.c (by size alone if the build dropped its file names).
 * - Nothing is ever given back: a script is one short-lived process. Thus a freed job's address
 *   never comes back, and "job#K" means one job object even after a cleanup.
 */
#include "stacks.h"

#include <openssl/crypto.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_SIZE_BYTES = 32768 };

typedef struct {
    alignas(max_align_t) size_t size;
    bool is_stack;
} Header;

static int live;

static bool made_by_async(const char *file)
{
    return file == NULL || *file == '\0' || strstr(file, "async_posix") != NULL;
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)line;
    if (size == 0)
        return NULL; /* as CRYPTO_malloc itself */
    Header *header = malloc(sizeof *header + size);
    if (header == NULL)
        return NULL;
    header->size = size;
    header->is_stack = size == STACK_SIZE_BYTES && made_by_async(file);
    live += header->is_stack;
    return header + 1;
}

static void release(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    if (block != NULL)
        live -= ((Header *)block - 1)->is_stack;
}

static void *reallocate(void *block, size_t size, const char *file, int line)
{
    if (block == NULL)
        return allocate(size, file, line);
    void *grown = allocate(size, file, line);
    if (grown != NULL) {
        size_t old = ((Header *)block - 1)->size;
        memcpy(grown, block, old < size ? old : size);
    }
    return grown;
}

/* Before libcrypto's first allocation, or it is refused. */
bool stacks_watch(void)
{
    return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1;
}

int stacks_live(void)
{
    return live;
}
