/* The objects of pausable._native, and the switch between them.
 *
 * Rules:
 * - A Stack is what can run: a thread's own C stack (Thread) or one of ours (Fibre). Control passes
 *   from the one that runs to any other of the same thread state.
 * - `Thread.current` is right whenever Python code can look: it changes together with the stack.
 * - A fibre with a call on it holds itself: nobody else needs to, and its memory cannot go. Who
 *   comes out of a switch lets go of a fibre whose call has ended, for that cannot be done on it.
 * - None and NULL mean the same in the object fields that Python code can set.
 */
#ifndef PAUSABLE_CORE_H
#define PAUSABLE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "errors.h"
#include "pystate.h"
#include "stackmem.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__LP64__)
#include "switch_x86_64.h"
#elif defined(__aarch64__) && defined(__linux__)
#include "switch_aarch64.h"
#else
#error "pausable._native knows x86-64 and aarch64 on Linux; elsewhere jobs run on greenlet"
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define HIDDEN __attribute__((visibility("hidden")))
#define COLD __attribute__((noinline, cold))

/* As pausable._state.State; module.c checks that they agree. */
typedef enum { READY, RUNNING, PAUSED, ENDED, FORKED, STATES } job_state;

/* A C stack, and the interpreter's state that belongs to it while it is set aside. */
typedef struct {
    void *sp;
    pystate py;
    pystate_root root;
#ifdef __SANITIZE_ADDRESS__
    const void *asan_low;
    size_t asan_size;
#endif
} cstack;

typedef struct Thread Thread;

typedef struct {
    PyObject_HEAD
    cstack *c;      /* NULL: a fibre without memory */
    Thread *thread; /* owned by fibres */
} Stack;

typedef struct Fibre Fibre;

/* A job's handle: the part of pausable.Job that is C. */
typedef struct {
    PyObject_HEAD
    PyObject *fibre; /* None when the job has ended; NULL: a handle that was made by hand */
    PyObject *name, *full_name, *value, *exc, *traceback, *wait_ctx;
    PyObject *weakrefs;
} Job;

/* The part of pausable.JobPool that is C. */
typedef struct {
    PyObject_HEAD
    PyObject *idle;    /* a list of fibres, or what stands in for one */
    PyObject *fibres;  /* a list of all of them */
    PyObject *max_size, *stack_size_bytes; /* int or None */
    char closed;
    Thread *thread_of; /* owned: the thread whose default pool it is, or NULL */
    unsigned long thread; /* that it belongs to, as of threading.get_ident() */
} Pool;

struct Fibre {
    Stack base;
    char active; /* a call is on it: started and not ended */
    char state;
    char alert;   /* a pause has to look closer */
    char notable; /* the job's end has more to do than usual */
    Py_ssize_t blocks; /* reasons not to pause */
    /* the call to begin with; either of the two forms */
    PyObject *fn, *args, *kwargs;
    PyObject *const *vector;
    Py_ssize_t nargs;
    /* the call, as Python code sees it */
    PyObject *resumer, *value, *exc;
    PyObject *context, *driver, *wait_ctx;
    PyObject *spare; /* a context for the next job, that nobody else has */
    PyObject *entered; /* the greenlet that entered the call, if greenlet is in the process */
    PyObject *vars; /* what the starter's context had in it when the job began */
    Job *weak_job;  /* borrowed: the job clears it when it dies */
    Job *job;       /* owned: a new handle for a job that was lost */
    Pool *pool;
    stackmem mem;
    Py_ssize_t size_bytes; /* of the stack, guard included */
};

struct Thread {
    Stack base;
    PyThreadState *ts;
    uint64_t ts_id;
    Stack *current;  /* borrowed: it runs */
    Fibre *ended;    /* owned: to be let go of by whoever comes out of the switch */
    Pool *pool;      /* borrowed: the thread's default pool, if it has one */
    Thread *next;
    cstack root;
};

typedef struct {
    PyThreadState *ts;
    uint64_t ts_id;
    Thread *thread;
} here_cache;

extern HIDDEN __thread here_cache here_now __attribute__((tls_model("initial-exec")));
extern HIDDEN PyTypeObject Stack_Type, Thread_Type, Fibre_Type, Pool_Type, Block_Type, Guard_Type;
extern HIDDEN PyTypeObject *Job_Type; /* NULL until pausable._job has made it */
extern HIDDEN PyObject *FibreError;
extern HIDDEN PyObject *state_objects[STATES];

HIDDEN Thread *thread_find(PyThreadState *ts); /* makes it if need be; NULL with an error set */
HIDDEN int stack_take(size_t size, stackmem *out); /* 0, or -1 with an exception set */
HIDDEN void stack_give(stackmem *mem);
HIDDEN size_t stack_mapped(const stackmem *mem);
HIDDEN PyObject *set_allocator(PyObject *module, PyObject *args);
HIDDEN PyObject *take_stack(PyObject *module, PyObject *size);
HIDDEN PyObject *give_stack(PyObject *module, PyObject *address);
HIDDEN int fibre_make_stack(Fibre *self);
HIDDEN void fibre_trim_if_deep(Fibre *self);
HIDDEN size_t fibre_resident(Fibre *self);
HIDDEN PyObject *fibre_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
HIDDEN int stack_switch_checked(Stack *to);
HIDDEN Stack *resumer_stack_slowly(PyObject *resumer);
HIDDEN PyObject *stack_frame(Stack *self);
HIDDEN PyObject *stack_get_context(Stack *self, void *closure);
HIDDEN PyObject *context_with(PyObject *vars);
HIDDEN PyObject *make_job_type(PyObject *module, PyObject *reference);
HIDDEN PyObject *instead_of(PyObject *module, PyObject *reference);
HIDDEN PyObject *take_over(PyObject *module, PyObject *kind);
HIDDEN PyObject *bind_wait_context(PyObject *module, PyObject *type);
HIDDEN PyObject *bind_hooks(PyObject *module, PyObject *hooks);
HIDDEN PyObject *watch_greenlet(PyObject *module, PyObject *getcurrent);
HIDDEN PyObject *set_thread_pool(PyObject *module, PyObject *pool);

/* greenlet.getcurrent once greenlet is in the process, else NULL; see greenlets.c. */
extern HIDDEN PyObject *greenlet_getcurrent;

HIDDEN PyObject *current_greenlet(void); /* or None while it is being imported */
HIDDEN int note_greenlet(Fibre *fibre);   /* before a call is entered; 0, or -1 with an error set */
HIDDEN int check_greenlet(Fibre *fibre);  /* before it is set aside; likewise */

/* Whether `p`, which Python code can set, is anything. */
static inline int
is_set(PyObject *p)
{
    return p != NULL && p != Py_None;
}

/* Return the job whose call is on the fibre, if somebody still holds it: borrowed, or NULL. */
static inline PyObject *
fibre_job(const Fibre *fibre)
{
    return (PyObject *)(fibre->job != NULL ? fibre->job : fibre->weak_job);
}

static inline int
is_job(PyObject *p)
{
    return Job_Type != NULL && PyObject_TypeCheck(p, Job_Type);
}

static inline PyThreadState *
this_tstate(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

/* The thread state's Thread. The identity is compared too: an address may be used again. */
static inline Thread *
here(void)
{
    PyThreadState *ts = this_tstate();
    if (likely(here_now.ts == ts && here_now.ts_id == ts->id))
        return here_now.thread;
    return thread_find(ts);
}

/* Return the stack behind a `resumer`: itself, or what a stand-in (pausable._fibre.Relay) has. */
static inline Stack *
resumer_stack(PyObject *resumer)
{
    if (likely(resumer != NULL && Py_TYPE(resumer) == &Thread_Type))
        return (Stack *)resumer;
    return resumer_stack_slowly(resumer);
}

/* AddressSanitizer has to be told which stack runs (scripts/test-native asan). */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define ASAN_BEGIN(c)                                                                              \
    void *fake_stack = NULL;                                                                       \
    __sanitizer_start_switch_fiber(&fake_stack, (c)->asan_low, (c)->asan_size);
#define ASAN_END __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#else
#define ASAN_BEGIN(c)
#define ASAN_END
#endif

static inline __attribute__((always_inline)) void
stack_leave(Thread *thread, Stack *to, int at_end)
{
    Stack *from = thread->current;
    thread->current = to;
    pystate_swap(thread->ts, &from->c->py, &to->c->py);
    ASAN_BEGIN(to->c)
    if (at_end)
        switch_stack_at_end(&from->c->sp, to->c->sp);
    else
        switch_stack(&from->c->sp, to->c->sp);
    ASAN_END
    if (thread->ended != NULL) {
        Fibre *ended = thread->ended;
        thread->ended = NULL;
        Py_DECREF(ended);
    }
}

/* Set the running stack aside and go on with `to`; returns when somebody comes back. */
static inline __attribute__((always_inline)) void
stack_enter(Thread *thread, Stack *to)
{
    stack_leave(thread, to, 0);
}

/* Begin the call that was put into an idle fibre. The context has been set. */
static inline __attribute__((always_inline)) void
fibre_begin(Thread *thread, Fibre *self)
{
    Py_INCREF(self);
    self->active = 1;
    self->state = RUNNING;
    pystate_begin(thread->ts, &self->base.c->py);
    stack_enter(thread, &self->base);
}

#endif
