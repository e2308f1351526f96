/* Everything a script has named, and the shadow state that says what may still be touched. */
#ifndef WORLD_H
#define WORLD_H

#include "script.h"

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <pthread.h>

typedef struct Thread Thread;

/* One wait context object; a name can be given again after the free, to another object. */
typedef struct Context {
    const char *name;
    ASYNC_WAIT_CTX *real;
    bool freed;
    struct Context *next;
} Context;

/* One ASYNC_JOB object, by address. A handle is good for one run of it. */
typedef struct Job {
    ASYNC_JOB *real;
    unsigned run;    /* +1 when a run ends: handles of earlier runs are stale */
    bool resumed;    /* in this run */
    Thread *home;    /* that started this run ... */
    unsigned epoch;  /* ... after so many cleanups of its own */
    Context *context; /* NULL: started without */
    char *args;
    size_t size;
    int number; /* K of job#K, 0: not yet seen */
    struct Job *next;
} Job;

typedef struct Slot {
    const char *name;
    ASYNC_JOB *real; /* the variable that libcrypto reads and writes */
    Job *job;
    unsigned run;
    struct Slot *next;
} Slot;

typedef struct Buffer {
    const char *name;
    char *bytes;
    size_t size;
    struct Buffer *next;
} Buffer;

typedef struct Library {
    const char *name;
    OSSL_LIB_CTX *real;
    struct Library *next;
} Library;

/* What start_job's trampoline needs to know about the call that is starting it. */
typedef struct {
    const Body *body;
    Context *context;
    size_t size;
} Start;

struct Thread {
    const char *name; /* NULL: the main thread */
    pthread_t id;
    const Step *step; /* handed over, being run */
    bool ending, gone;
    unsigned epoch; /* cleanups so far */
    const Start *starting;
    Job *running;
    Thread *next;
};

/* One body being executed. */
struct Frame {
    Thread *thread;
    const char *who;
    Job *job; /* NULL outside jobs */
    int depth;
    bool returned;
    int ret;
};

Slot *slot_named(const char *name); /* created when new */
void slot_copy(Slot *into, const Slot *from);
void slot_settle(Slot *slot); /* after libcrypto may have written it */
bool slot_is_stale(const Slot *slot);

Context *context_named(const char *name); /* the newest of that name, or NULL */
Context *context_of(const ASYNC_WAIT_CTX *real);
void context_add(const char *name, ASYNC_WAIT_CTX *real);

Job *job_of(ASYNC_JOB *real);
const char *job_text(ASYNC_JOB *real, char *space, size_t size);
void show_job_numbers(bool on);

Buffer *buffer_named(const char *name);
void buffer_write(const char *name, const char *text);

Library *library_named(const char *name);
void library_add(const char *name, OSSL_LIB_CTX *real);
const char *library_name(const OSSL_LIB_CTX *real);

void *allocated(size_t size); /* or abort */

/* Why OpenSSL leaves this undefined, or NULL. None of them touches libcrypto's memory. */
const char *start_refusal(const Frame *frame, const Slot *slot);
const char *handle_refusal(const Slot *slot);

#endif
