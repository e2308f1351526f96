/* What a job is asked for all the time: whether it has ended, what came of it, where it waits.
 *
 * Rules:
 * - A job has ended when it has no fibre any more. What is asked too early, and a handle that was made
 *   by hand, are the reference's to refuse.
 */
#include "job.h"

#define HAS_ENDED(job) likely((job)->fibre == Py_None)

PyObject *
job_done(PyObject *self, PyObject *Py_UNUSED(none))
{
    if (unlikely(((Job *)self)->fibre == NULL))
        return refer(references.done, self);
    return PyBool_FromLong(((Job *)self)->fibre == Py_None);
}

PyObject *
job_get_paused(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *fibre = ((Job *)self)->fibre;
    if (likely(fibre != NULL && Py_TYPE(fibre) == (PyTypeObject *)hooks.fibre_type))
        return PyBool_FromLong(((Fibre *)fibre)->state == PAUSED);
    return fibre == Py_None ? Py_NewRef(Py_False) : refer(references.paused, self);
}

PyObject *
job_cancelled(PyObject *self, PyObject *Py_UNUSED(none))
{
    Job *job = (Job *)self;
    if (likely(job->fibre != NULL && !(job->fibre == Py_None && is_set(job->exc))))
        Py_RETURN_FALSE;
    return refer(references.cancelled, self);
}

PyObject *
job_result(PyObject *self, PyObject *Py_UNUSED(none))
{
    Job *job = (Job *)self;
    if (HAS_ENDED(job) && likely(!is_set(job->exc)))
        return Py_NewRef(job->value != NULL ? job->value : Py_None);
    if (job->fibre != Py_None || !PyExceptionInstance_Check(job->exc))
        return refer(references.result, self);
    /* Each time with its own traceback: whoever raised it on has added to that. */
    PyObject *exc = Py_NewRef(job->exc), *tb = job->traceback != NULL ? job->traceback : Py_None;
    if (PyException_SetTraceback(exc, tb) == 0)
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
    return NULL;
}

PyObject *
job_exception(PyObject *self, PyObject *Py_UNUSED(none))
{
    Job *job = (Job *)self;
    if (HAS_ENDED(job))
        return Py_NewRef(job->exc != NULL ? job->exc : Py_None);
    return refer(references.exception, self);
}

PyObject *
job_where_it_waits(PyObject *self, void *Py_UNUSED(closure))
{
    Job *job = (Job *)self;
    PyObject *fibre = job->fibre, *ctx = NULL;
    if (fibre == Py_None)
        ctx = job->wait_ctx;
    else if (likely(fibre != NULL && Py_TYPE(fibre) == (PyTypeObject *)hooks.fibre_type))
        ctx = is_set(((Fibre *)fibre)->wait_ctx) ? ((Fibre *)fibre)->wait_ctx : NULL;
    return likely(ctx != NULL) ? Py_NewRef(ctx) : refer(references.wait_ctx, self);
}

PyObject *
job_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

PyObject *
job_exit(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    if (HAS_ENDED((Job *)self)) /* close() has nothing to do */
        Py_RETURN_NONE;
    return refer(references.exit, self);
}
