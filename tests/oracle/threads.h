/* The threads that "@T OP" runs on. */
#ifndef THREADS_H
#define THREADS_H

#include "world.h"

Thread *this_thread(void);
Thread *thread_named(const char *name); /* NULL: never begun, or ended */
Thread *thread_begin(const char *name);
void thread_run(Thread *thread, const Step *step); /* returns when the step is done */
void thread_end(Thread *thread);

#endif
