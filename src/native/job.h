/* Jobs: what the files about their life share.
 *
 * Rules:
 * - Behaviour is defined by the reference in Python (pausable._job: `launch`, `pause`, `Job.resume`,
 *   `current_fibre`, `current_job`), line by line in the same order. What is rare is not repeated
 *   here: it is the reference's own functions, called as hooks.
 * - What users call is the builtin itself, never wrapped: a call in Python costs as much as all this.
 * - `alert` and `notable` hide all that is rare, as in the reference.
 * - Nothing is written before the thread was checked.
 */
#ifndef PAUSABLE_JOB_H
#define PAUSABLE_JOB_H

#include "core.h"

/* Functions of pausable._job for what is rare. */
typedef struct {
    PyObject *take;           /* (pool, job, fn, args, kwargs) -> (fibre, fn, args, kwargs) */
    PyObject *name_of;        /* (fn) -> str: of a callable without a name */
    PyObject *settle;         /* (job, fibre) */
    PyObject *keep_traceback; /* (job, exc) */
    PyObject *outside;        /* () -> bool: a pause where there is no job */
    PyObject *watch;          /* what the module _watch has in it: its `outside_jobs` may be .. */
    PyObject *do_nothing;     /* .. this */
    PyObject *refuse_resume;  /* (job): raises */
    PyObject *foreign_switch; /* (job) -> exception */
    PyObject *dead_stack;     /* (job) -> exception */
    PyObject *thread_pool;    /* () -> pool: makes the thread's default pool */
    PyObject *refuse_context; /* (wait_ctx): raises, unless a job may wait in it */
    PyObject *hidden;         /* the ids of code whose frames are not shown: a dict */
    PyObject *notice;         /* (): a fibre is made */
    PyObject *fibre_type;
    PyObject *elsewhere; /* (as launch) -> job, or None: natively; with greenlet in the process */
    PyObject *given_way; /* set when jobs run on greenlet: idle fibres are not kept */
} job_hooks;

typedef struct {
    PyObject *may_pause, *resumed, *reset, *job_ended, *jobs, *wait_ctx;
    PyObject *change_resumer, *check_thread, *context, *outermost, *append, *drop, *items, *name;
    PyObject *outside_jobs, *enter, *exit, *block_pause, *unblock_pause;
} job_names;

/* What the builtins stand in for: asked in what is rare, and, once jobs run on greenlet, outside of
 * native jobs. */
typedef struct {
    PyObject *current_fibre, *current_job, *can_pause, *current_wait_ctx;
    PyObject *done, *paused, *cancelled, *result, *exception, *wait_ctx, *exit;
} job_references;

/* Where to keep what Python gives by name. */
typedef struct {
    const char *name;
    PyObject **at;
} hook_place;

extern HIDDEN job_hooks hooks;
extern HIDDEN job_names names;
extern HIDDEN job_references references;

extern HIDDEN PyObject *no_vars; /* what an empty context has in it */

HIDDEN Job *job_new(void);
HIDDEN int vector_as_tuple(PyObject *const *vector, Py_ssize_t nargs, PyObject *keywords,
                           PyObject **args, PyObject **kwargs);
HIDDEN int pool_grow(Pool *pool, Fibre **fibre);
HIDDEN void job_track(Job *job);
HIDDEN int job_end(Job *job, Fibre *fibre);
HIDDEN int job_finish(Job *job, Fibre *fibre);
HIDDEN void raise_from_hook(PyObject *hook, Job *job);
HIDDEN int take_hooks(PyObject *given, const hook_place *places, size_t count, int all);
HIDDEN int intern_names(const hook_place *places, size_t count);

HIDDEN PyObject *refer(PyObject *reference, PyObject *self);

HIDDEN void fibre_block(Fibre *fibre, Py_ssize_t by);

HIDDEN int wait_ctx_is_free(PyObject *ctx);
HIDDEN int wait_ctx_job_begins(PyObject *ctx);
HIDDEN int wait_ctx_job_ended(PyObject *ctx);
HIDDEN int wait_ctx_reset(PyObject *ctx);

HIDDEN PyObject *native_start(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
HIDDEN PyObject *native_launch(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_current_fibre(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_current_job(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_can_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_current_wait_ctx(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_block_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_unblock_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *fibre_block_by(PyObject *self, PyObject *by);
HIDDEN PyObject *fibre_wait_in(PyObject *self, PyObject *wait_ctx);
HIDDEN PyObject *pool_start(PyObject *self, PyObject *const *, Py_ssize_t, PyObject *);
HIDDEN PyObject *pool_start_in(PyObject *self, PyObject *const *, Py_ssize_t, PyObject *);
HIDDEN PyObject *job_resume(PyObject *self, PyObject *none);
HIDDEN PyObject *job_done(PyObject *self, PyObject *none);
HIDDEN PyObject *job_cancelled(PyObject *self, PyObject *none);
HIDDEN PyObject *job_result(PyObject *self, PyObject *none);
HIDDEN PyObject *job_exception(PyObject *self, PyObject *none);
HIDDEN PyObject *job_get_paused(PyObject *self, void *closure);
HIDDEN PyObject *job_where_it_waits(PyObject *self, void *closure);
HIDDEN PyObject *job_enter(PyObject *self, PyObject *none);
HIDDEN PyObject *job_exit(PyObject *self, PyObject *const *, Py_ssize_t);

/* Return the fibre of the job that is running in this thread, or NULL. */
static inline Fibre *
running(Thread *thread)
{
    Fibre *fibre = (Fibre *)thread->current;
    if (likely(Py_TYPE(fibre) == (PyTypeObject *)hooks.fibre_type && fibre->state == RUNNING))
        return fibre;
    return NULL;
}

HIDDEN PyObject *new_fibre(PyObject *module, PyObject *pool);
HIDDEN PyObject *stack_memory(PyObject *module, PyObject *fibres);

#endif
