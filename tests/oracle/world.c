/* Named things, and the rules of what is undefined.
 *
 * - libcrypto's memory is never read to find out whether it may be touched: jobs are known by
 *   address, and their runs, threads, cleanups and contexts are counted here.
 * - A handle is stale once its run has ended, also when its job object runs something newer.
 * - A cleanup makes every handle of its thread useless: the fibres remember the freed thread
 *   context.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Slot *slots;
static Context *contexts;
static Job *jobs;
static Buffer *buffers;
static Library *libraries;
static bool numbered;
static int numbers;

void *allocated(size_t size)
{
    void *block = calloc(1, size);
    if (block == NULL)
        abort();
    return block;
}

/* ---- slots: names are interned, so that == compares them ---- */

Slot *slot_named(const char *name)
{
    Slot *slot = slots;
    while (slot != NULL && slot->name != name)
        slot = slot->next;
    if (slot == NULL) {
        slot = allocated(sizeof *slot);
        *slot = (Slot){.name = name, .next = slots};
        slots = slot;
    }
    return slot;
}

void slot_copy(Slot *into, const Slot *from)
{
    into->real = from->real;
    into->job = from->job;
    into->run = from->run;
}

void slot_settle(Slot *slot)
{
    slot->job = slot->real == NULL ? NULL : job_of(slot->real);
    slot->run = slot->job == NULL ? 0 : slot->job->run;
}

bool slot_is_stale(const Slot *slot)
{
    return slot->run != slot->job->run;
}

/* ---- contexts ---- */

Context *context_named(const char *name)
{
    Context *context = contexts;
    while (context != NULL && context->name != name)
        context = context->next;
    return context;
}

Context *context_of(const ASYNC_WAIT_CTX *real)
{
    Context *context = contexts;
    while (context != NULL && context->real != real)
        context = context->next;
    return context;
}

void context_add(const char *name, ASYNC_WAIT_CTX *real)
{
    Context *context = allocated(sizeof *context);
    *context = (Context){.name = name, .real = real, .next = contexts};
    contexts = context;
}

/* ---- jobs ---- */

Job *job_of(ASYNC_JOB *real)
{
    Job *job = jobs;
    while (job != NULL && job->real != real)
        job = job->next;
    if (job == NULL) {
        job = allocated(sizeof *job);
        *job = (Job){.real = real, .next = jobs};
        jobs = job;
    }
    return job;
}

void show_job_numbers(bool on)
{
    numbered = on;
}

const char *job_text(ASYNC_JOB *real, char *space, size_t size)
{
    if (real == NULL)
        return "NULL";
    if (!numbered)
        return "JOB";
    Job *job = job_of(real);
    if (job->number == 0)
        job->number = ++numbers;
    snprintf(space, size, "job#%d", job->number);
    return space;
}

/* ---- buffers and libraries ---- */

Buffer *buffer_named(const char *name)
{
    Buffer *buffer = buffers;
    while (buffer != NULL && buffer->name != name)
        buffer = buffer->next;
    return buffer;
}

void buffer_write(const char *name, const char *text)
{
    Buffer *buffer = buffer_named(name);
    if (buffer == NULL) {
        buffer = allocated(sizeof *buffer);
        *buffer = (Buffer){.name = name, .next = buffers};
        buffers = buffer;
    }
    buffer->size = strlen(text);
    buffer->bytes = allocated(buffer->size + 1);
    memcpy(buffer->bytes, text, buffer->size);
}

Library *library_named(const char *name)
{
    Library *library = libraries;
    while (library != NULL && library->name != name)
        library = library->next;
    return library;
}

void library_add(const char *name, OSSL_LIB_CTX *real)
{
    Library *library = allocated(sizeof *library);
    *library = (Library){name, real, libraries};
    libraries = library;
}

const char *library_name(const OSSL_LIB_CTX *real)
{
    const Library *library = libraries;
    while (library != NULL && library->real != real)
        library = library->next;
    return library == NULL ? "global" : library->name;
}

/* ---- what is undefined ---- */

const char *handle_refusal(const Slot *slot)
{
    if (slot->real == NULL)
        return "NULL handle";
    if (slot_is_stale(slot))
        return "the handle's job has finished";
    if (slot->job->context != NULL && slot->job->context->freed)
        return "the job's wait context was freed";
    return NULL;
}

static const char *resume_refusal(const Frame *frame, const Slot *slot)
{
    const char *why = handle_refusal(slot);
    if (why != NULL)
        return why;
    const Job *job = slot->job;
    if (job->home != frame->thread)
        return "the job belongs to another thread";
    if (job->epoch != frame->thread->epoch)
        return "the thread was cleaned up while the job was paused";
    if (job->context == NULL)
        return "resume of a job without wait context";
    return NULL;
}

const char *start_refusal(const Frame *frame, const Slot *slot)
{
    if (frame->job != NULL) {
        if (slot->real != NULL)
            return "nested start with a handle";
        if (!frame->job->resumed)
            return "nested start in a job that was never resumed";
        return NULL; /* 3.0: ERR, and nothing happens */
    }
    return slot->real == NULL ? NULL : resume_refusal(frame, slot);
}
