/* Threads, one step at a time.
 *
 * - Synchronous: whoever hands a step over waits for it, so only one thread ever runs and the
 *   rest of the driver needs no locks.
 * - A thread that waits for another is busy (its step stays set); handing it a step would
 *   deadlock, so callers look first.
 */
#include "threads.h"

#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static Thread main_thread;
static Thread *threads;
static _Thread_local Thread *own;

Thread *this_thread(void)
{
    return own == NULL ? &main_thread : own;
}

Thread *thread_named(const char *name)
{
    Thread *thread = threads;
    while (thread != NULL && (thread->gone || thread->name != name))
        thread = thread->next;
    return thread;
}

static void *thread_loop(void *argument)
{
    own = argument;
    Frame frame = {.thread = own, .who = "main"};
    pthread_mutex_lock(&lock);
    while (!own->ending) {
        if (own->step == NULL) {
            pthread_cond_wait(&changed, &lock);
            continue;
        }
        pthread_mutex_unlock(&lock);
        own->step->operation->run(&frame, own->step);
        pthread_mutex_lock(&lock);
        own->step = NULL;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

Thread *thread_begin(const char *name)
{
    Thread *thread = allocated(sizeof *thread);
    *thread = (Thread){.name = name, .next = threads};
    threads = thread;
    if (pthread_create(&thread->id, NULL, thread_loop, thread) != 0)
        abort();
    return thread;
}

void thread_run(Thread *thread, const Step *step)
{
    pthread_mutex_lock(&lock);
    thread->step = step;
    pthread_cond_broadcast(&changed);
    while (thread->step != NULL)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void thread_end(Thread *thread)
{
    pthread_mutex_lock(&lock);
    thread->ending = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread->id, NULL); /* runs libcrypto's own clean-up of the thread */
    thread->gone = true;
}
