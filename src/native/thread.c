/* Threads: which stack runs in each, and what becomes of a Thread when its thread has ended.
 *
 * Rules:
 * - There is a Thread for each thread state that ever ran a job. It is found by a thread-local
 *   cache; only a miss walks the list.
 * - A Thread is kept until its thread state is gone, and not only until its dict is cleared: code
 *   that runs when a thread ends (unwinding its jobs) still needs it. The dead are swept when the
 *   next Thread is made, so there are never more than were alive at once, and one.
 * - Fibres hold their Thread, so that one that was left behind by its thread can tell, by comparing
 *   addresses, that it must not be entered.
 */
#include "core.h"

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#endif

__thread here_cache here_now;

static Thread *threads;

static int
is_alive(const Thread *thread)
{
    PyThreadState *ts = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; ts != NULL; ts = PyThreadState_Next(ts))
        if (ts == thread->ts && ts->id == thread->ts_id)
            return 1;
    return 0;
}

static Thread *
thread_new(void)
{
    Thread *self = PyObject_New(Thread, &Thread_Type);
    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->base.c = &self->root;
    self->base.thread = self;
    self->current = &self->base;
#ifdef __SANITIZE_ADDRESS__
    pthread_attr_t attributes;
    void *low;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &self->root.asan_size);
        pthread_attr_destroy(&attributes);
        self->root.asan_low = low;
    }
#endif
    return self;
}

static void
sweep(void)
{
    for (Thread **at = &threads; *at != NULL;) {
        Thread *thread = *at;
        /* A reference from elsewhere is a fibre's: one with a job that nobody could unwind. */
        if (is_alive(thread) || Py_REFCNT(thread) > 1) {
            at = &thread->next;
            continue;
        }
        *at = thread->next;
        Py_DECREF(thread);
    }
}

COLD Thread *
thread_find(PyThreadState *ts)
{
    Thread *thread = threads;
    while (thread != NULL && !(thread->ts == ts && thread->ts_id == ts->id))
        thread = thread->next;
    if (thread == NULL) {
        sweep();
        thread = thread_new();
        if (thread == NULL)
            return NULL;
        thread->ts = ts;
        thread->ts_id = ts->id;
        thread->next = threads;
        threads = thread;
    }
    here_now = (here_cache){ts, ts->id, thread};
    return thread;
}
