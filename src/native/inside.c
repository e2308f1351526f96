/* What code inside of a job calls: pausing, and asking which job it is in.
 *
 * Rules:
 * - A job is found by asking which stack runs, and is there while that is RUNNING: code that runs when
 *   its call has just ended, on the same stack, is in no job.
 */
#include "job.h"

static COLD int
asks(Fibre *fibre, PyObject *method)
{
    PyObject *answer = PyObject_CallMethodNoArgs((PyObject *)fibre, method);
    if (answer == NULL)
        return -1;
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

/* Whether a pause outside of jobs does nothing: debug mode puts a warning in that place. */
static inline int
nothing_is_to_be_said(void)
{
    return hooks.watch != NULL &&
           PyDict_GetItem(hooks.watch, names.outside_jobs) == hooks.do_nothing;
}

/* pause() -> bool */
PyObject *
native_pause(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    if (unlikely(nargs != 0)) {
        PyErr_Format(PyExc_TypeError, "pause() takes 0 positional arguments but %zd %s given", nargs,
                     nargs == 1 ? "was" : "were");
        return NULL;
    }
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL)) {
        if (hooks.given_way == NULL && nothing_is_to_be_said())
            Py_RETURN_FALSE;
        return PyObject_CallNoArgs(hooks.outside);
    }
    if (unlikely(fibre->blocks > 0))
        Py_RETURN_FALSE;
    /* Before anything is done for the pause. Where it is blocked, it does no harm. */
    if (unlikely(greenlet_getcurrent != NULL) && check_greenlet(fibre) < 0)
        return NULL;
    if (unlikely(fibre->alert)) {
        int may = asks(fibre, names.may_pause);
        if (may <= 0)
            return may < 0 ? NULL : Py_NewRef(Py_False);
    }
    Stack *to = resumer_stack(fibre->resumer);
    if (unlikely(to == NULL || to->thread != thread || to->c == NULL)) {
        PyErr_SetString(FibreError, "pausable: nobody has resumed the job that pauses");
        return NULL;
    }
    Py_CLEAR(fibre->entered); /* set aside, it holds no greenlet of others */
    fibre->state = PAUSED;
    stack_enter(thread, to);
    fibre->state = RUNNING;
    if (unlikely(fibre->alert) && asks(fibre, names.resumed) < 0)
        return NULL; /* a job that is unwound begins no window */
    if (is_set(fibre->wait_ctx) && wait_ctx_reset(fibre->wait_ctx) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static inline Thread *
here_without_arguments(const char *name, Py_ssize_t nargs)
{
    Thread *thread = here();
    if (unlikely(thread != NULL && nargs != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments", name);
        return NULL;
    }
    return thread;
}

PyObject *
native_current_fibre(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here_without_arguments("current_fibre", nargs);
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.current_fibre);
    return Py_NewRef(fibre != NULL ? (PyObject *)fibre : Py_None);
}

PyObject *
native_current_job(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here_without_arguments("current_job", nargs);
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.current_job);
    if (fibre == NULL)
        Py_RETURN_NONE;
    PyObject *job = fibre_job(fibre);
    return Py_NewRef(job != NULL ? job : Py_None);
}

PyObject *
native_can_pause(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here_without_arguments("can_pause", nargs);
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.can_pause);
    if (fibre == NULL)
        Py_RETURN_FALSE;
    return PyBool_FromLong(fibre->blocks <= 0);
}

PyObject *
native_current_wait_ctx(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here_without_arguments("current_wait_ctx", nargs);
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.current_wait_ctx);
    if (fibre == NULL || fibre->blocks > 0)
        Py_RETURN_NONE;
    if (is_set(fibre->wait_ctx))
        return Py_NewRef(fibre->wait_ctx);
    PyObject *job = Py_XNewRef(fibre_job(fibre));
    if (job == NULL)
        Py_RETURN_NONE;
    PyObject *ctx = PyObject_GetAttr(job, names.wait_ctx);
    Py_DECREF(job);
    return ctx;
}
