/* Driving jobs in asyncio tasks: what the files about it share.
 *
 * Rules:
 * - The reference is pausable.loops._asyncio.AsyncioDrive.drive_on, with what it awaits from
 *   pausable._wait_for. Here is the part for a job that waits for futures and coroutines of its loop.
 *   All else (cancellations, wakes, descriptors, cleanup code) stays in Python, which goes on with
 *   the same object.
 * - The job's stack leads to its driver, and no collector looks in there. So a driver holds
 *   neither the job, nor what is awaited: an Until does, which only the task's coroutine has. The task it
 *   knows by a weak reference: one that is forgotten is to end at once, and not wait for a collection.
 */
#ifndef PAUSABLE_DRIVE_H
#define PAUSABLE_DRIVE_H

#include "job.h"

/* What the drivers of one loop share: the C part of AsyncioHub. */
typedef struct {
    PyObject_HEAD
    Py_ssize_t driven; /* how many jobs are paused on this loop */
    PyObject *loop;
} Hub;

/* What resumes one job: the C part of AsyncioDrive. */
typedef struct {
    PyObject_HEAD
    char answered, called, counted, queued, awaiting, interrupted;
    Py_ssize_t cancelling;
    PyObject *context, *hub;
    PyObject *awaited, *value, *exc; /* between the job and its driver */
    PyObject *ctx, *cancellation, *patience, *watch, *deadline, *late, *shield;
    PyObject *task, *waiter; /* weak references, or what returns None */
} Drive;

/* What the task awaits meanwhile. */
typedef struct {
    PyObject_HEAD
    Drive *drive;
    Job *job;
    Fibre *fibre;    /* NULL: the job has ended at once */
    PyObject *inner; /* the iterator of what the job waits for, or drive_on's coroutine */
    enum { NEW, WAITS, HANDED_OVER, OVER } phase;
    char runs;
} Until;

/* Of pausable.loops._asyncio, and asyncio's own. */
typedef struct {
    PyObject *new_drive;  /* () -> driver: the reference */
    PyObject *nobody;     /* () -> None */
    PyObject *discard;    /* (awaitable): close it, if it is a coroutine */
    PyObject *drive_type; /* AsyncioDrive */
    PyObject *future_type, *task_type, *coroutine_type;
    PyObject *get_running_loop; /* () -> loop */
    PyObject *current_tasks;    /* a dict: loop -> task */
    PyObject *cancelling;       /* (task) -> int */
    PyObject *get_loop, *done;  /* (future) -> loop; (future) -> bool */
    PyObject *turns;            /* so many jobs need not take turns */
} asyncio_hooks;

typedef struct {
    PyObject *drive_on, *leave, *fail, *bound, *in_turn, *outcome; /* of drivers */
    PyObject *raise_if_missed, *cancel, *cancelling, *max_size;
    PyObject *close, *throw_, *value, *cr_await;
    PyObject *must_cancel, *pausable_hub, *running_loop; /* of asyncio's objects */
} drive_names;

extern HIDDEN PyTypeObject Hub_Type, Drive_Type, Until_Type;
extern HIDDEN asyncio_hooks in_asyncio;
extern HIDDEN drive_names drive_name;
extern HIDDEN PyObject *not_here; /* what await_here returns where it does nothing */
extern HIDDEN Py_ssize_t turns; /* in_asyncio.turns */

HIDDEN PyObject *drive_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
HIDDEN Drive *drive_new(void); /* for the running task; NULL without an error: not here */
HIDDEN int drive_count(Drive *drive); /* its hub counts it from now on; 0, or -1 with an error set */
HIDDEN int drive_leave(Drive *drive, Job *job, Fibre *fibre); /* keeps an error that is set; likewise */

HIDDEN PyObject *until_new(Drive *drive, Job *job, Fibre *fibre);
HIDDEN int until_can_await(Drive *drive, Fibre *fibre);

HIDDEN PyObject *bind_asyncio(PyObject *module, PyObject *hooks);
HIDDEN PyObject *bind_run(PyObject *module, PyObject *hooks);
HIDDEN PyObject *native_run(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
HIDDEN PyObject *await_here(PyObject *module, PyObject *awaited);

/* Whether it is a future of asyncio's own kinds, and not of a class made from them. */
static inline int
is_future(PyObject *p)
{
    PyObject *type = (PyObject *)Py_TYPE(p);
    return type == in_asyncio.future_type || type == in_asyncio.task_type;
}

static inline int
is_coroutine(PyObject *p)
{
    return (PyObject *)Py_TYPE(p) == in_asyncio.coroutine_type;
}

#endif
