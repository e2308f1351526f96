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
    PyObject *wait_in;        /* (fibre, wait_ctx) */
    PyObject *publish;        /* (context, snapshot) */
    PyObject *settle;         /* (job, fibre) */
    PyObject *keep_traceback; /* (job, exc) */
    PyObject *outside;        /* () -> bool: a pause where there is no job */
    PyObject *refuse_resume;  /* (job): raises */
    PyObject *foreign_switch; /* (job) -> exception */
    PyObject *dead_stack;     /* (job) -> exception */
    PyObject *thread_pool;    /* () -> pool: makes the thread's default pool */
    PyObject *fibre_type;
    PyObject *elsewhere; /* (as launch) -> job, or None: natively; with greenlet in the process */
    PyObject *given_way; /* set when jobs run on greenlet: idle fibres are not kept */
} job_hooks;

typedef struct {
    PyObject *may_pause, *resumed, *reset, *change_resumer, *context, *blocks, *outermost, *append, *drop;
    PyObject *name;
} job_names;

/* What the builtins stand in for. Once jobs run on greenlet, it is asked outside of native jobs. */
typedef struct {
    PyObject *current_fibre, *current_job, *can_pause;
} job_references;

extern HIDDEN job_hooks hooks;
extern HIDDEN job_names names;
extern HIDDEN job_references references;

extern HIDDEN PyObject *no_vars; /* what an empty context has in it */

HIDDEN Job *job_new(void);
HIDDEN void job_track(Job *job);
HIDDEN int job_end(Job *job, Fibre *fibre);
HIDDEN int job_finish(Job *job, Fibre *fibre);
HIDDEN void raise_from_hook(PyObject *hook, Job *job);

HIDDEN PyObject *native_start(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
HIDDEN PyObject *native_launch(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_current_fibre(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_current_job(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *native_can_pause(PyObject *, PyObject *const *, Py_ssize_t);
HIDDEN PyObject *job_resume(PyObject *self, PyObject *none);

#endif
