/* Resuming jobs, and their end.
 *
 * Rules:
 * - Where the reference compares two contexts, this compares what they consist of: a context that
 *   nobody has set a variable in is left alone.
 * - A job has ended for everybody (its outcome is set, its fibre let go of) before anything is called
 *   that may run code: callbacks, hooks.
 */
#include "job.h"

/* So many idle stacks of a pool keep what they touched; see fibre_trim_if_deep for the others. */
#define WARM_STACKS 64

/* The same for a fibre that Python code gave back to its pool; it may be in use again. */
static COLD void
trim_if_beyond(Fibre *fibre)
{
    PyObject *idle = fibre->pool != NULL ? fibre->pool->idle : NULL;
    if (!fibre->active && idle != NULL && PyList_Check(idle) && PyList_GET_SIZE(idle) > WARM_STACKS)
        fibre_trim_if_deep(fibre);
}

/* Let go of the job's context, but keep the object for the next job if nobody else has it.
 *
 * It is emptied, so that it holds nothing. To make one is a tenth of what a job costs. */
static inline void
keep_context(Fibre *fibre)
{
    pystate_context *context = (pystate_context *)fibre->context;
    fibre->context = NULL;
    if (likely(context != NULL && Py_REFCNT(context) == 1 && fibre->spare == NULL &&
               PyContext_CheckExact(context) && context->weakrefs == NULL && !context->entered)) {
        pystate_set_context_vars((PyObject *)context, no_vars);
        fibre->spare = (PyObject *)context;
    }
    else
        Py_XDECREF(context);
}

/* Keep the exception's traceback, without a frame of ours, for every `result()` to come. */
static COLD int
keep_traceback(Job *job, PyObject *exc)
{
    PyObject *tb = PyExceptionInstance_Check(exc) ? PyException_GetTraceback(exc) : NULL;
    if (unlikely(tb == Py_None)) /* before 3.12 it may be that: asyncio's futures set it */
        Py_CLEAR(tb);
    PyCodeObject *code = tb != NULL ? PyFrame_GetCode(((PyTracebackObject *)tb)->tb_frame) : NULL;
    PyObject *id = code != NULL ? PyLong_FromVoidPtr(code) : NULL;
    int hidden = id != NULL ? PyDict_Contains(hooks.hidden, id) : code != NULL ? -1 : 0;
    Py_XDECREF(code);
    Py_XDECREF(id);
    if (likely(hidden == 0)) {
        Py_XSETREF(job->traceback, tb);
        return 0;
    }
    Py_XDECREF(tb);
    if (hidden < 0)
        return -1;
    PyObject *done = PyObject_CallFunctionObjArgs(hooks.keep_traceback, job, exc, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Leave nothing of a call in its fibre, and give that back to its pool.
 *
 * Returns 0, or -1 with an exception set: the job's own, if it is one that whoever drives jobs must
 * not miss, or what a hook raised. */
int
job_end(Job *job, Fibre *fibre)
{
    int failed = 0;
    PyObject *held = job->fibre; /* the fibre: this reference becomes the pool's */
    Py_XSETREF(job->value, fibre->value);
    fibre->value = NULL;
    PyObject *exc = fibre->exc;
    fibre->exc = NULL;
    if (unlikely(exc == Py_None))
        Py_CLEAR(exc);
    Py_XSETREF(job->exc, exc);
    if (unlikely(exc != NULL || (job->value != NULL && PyType_IS_GC(Py_TYPE(job->value)))))
        job_track(job);
    job->fibre = Py_NewRef(Py_None);
    fibre->weak_job = NULL;
    Py_CLEAR(fibre->job);
    Py_CLEAR(fibre->resumer);
    Py_CLEAR(fibre->entered);
    Py_CLEAR(fibre->vars);
    if (fibre->base.c != NULL)
        Py_CLEAR(fibre->base.c->py.context);
    keep_context(fibre);
    PyObject *type = NULL, *error = NULL, *tb = NULL; /* Ctrl-C: the books are closed all the same */
    if (unlikely(exc != NULL) && keep_traceback(job, exc) < 0)
        PyErr_Fetch(&type, &error, &tb);
    if (unlikely(is_set(fibre->wait_ctx)) && !fibre->notable) { /* else it is for `settle` */
        job_track(job); /* the context's callback may hold the job */
        Py_XSETREF(job->wait_ctx, fibre->wait_ctx);
        fibre->wait_ctx = NULL;
        if (wait_ctx_job_ended(job->wait_ctx) < 0) {
            if (type == NULL)
                PyErr_Fetch(&type, &error, &tb);
            else
                PyErr_Clear();
        }
    }
    fibre->blocks = 0;
    if (unlikely(fibre->notable)) {
        PyObject *done = PyObject_CallFunctionObjArgs(hooks.settle, job, fibre, NULL);
        failed |= done == NULL;
        Py_XDECREF(done);
        trim_if_beyond(fibre);
    }
    else if (unlikely(fibre->pool == NULL || fibre->pool->idle == NULL))
        ; /* it belongs nowhere: nobody will use it again */
    else if (unlikely(hooks.given_way != NULL)) {
        PyObject *done =
            PyObject_CallMethodOneArg((PyObject *)fibre->pool, names.drop, (PyObject *)fibre);
        failed |= done == NULL;
        Py_XDECREF(done);
    }
    else if (likely(PyList_CheckExact(fibre->pool->idle))) {
        PyListObject *idle = (PyListObject *)fibre->pool->idle;
        Py_ssize_t count = PyList_GET_SIZE(idle);
        if (likely(count < idle->allocated)) { /* as PyList_Append, but it takes the reference */
            PyList_SET_ITEM(idle, count, held);
            Py_SET_SIZE(idle, count + 1);
            held = NULL;
        }
        else
            failed |= PyList_Append((PyObject *)idle, held) < 0;
        if (unlikely(count >= WARM_STACKS))
            fibre_trim_if_deep(fibre);
    }
    else {
        PyObject *done = PyObject_CallMethodOneArg(fibre->pool->idle, names.append, (PyObject *)fibre);
        failed |= done == NULL;
        Py_XDECREF(done);
        trim_if_beyond(fibre);
    }
    Py_XDECREF(held);
    if (unlikely(type != NULL)) {
        PyErr_Restore(type, error, tb); /* in place of what came after it, if anything did */
        return -1;
    }
    if (unlikely(exc != NULL) && !failed &&
        (PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt) ||
         PyErr_GivenExceptionMatches(exc, PyExc_SystemExit))) {
        /* As asyncio's tasks do: whoever drives jobs must not miss a Ctrl-C that hit one of them. */
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        return -1;
    }
    return failed ? -1 : 0;
}

/* Make a context of what one had in it. */
PyObject *
context_with(PyObject *vars)
{
    PyObject *context = PyContext_New();
    if (context != NULL)
        pystate_set_context_vars(context, vars);
    return context;
}

/* Set a variable in the current context, unless it was the same before; 0, or -1. */
static int
publish_one(PyObject *before, PyObject *var, PyObject *value)
{
    int known = PySequence_Contains(before, var);
    PyObject *old = known > 0 ? PyObject_GetItem(before, var) : NULL;
    if (known < 0 || (known > 0 && old == NULL))
        return -1;
    Py_XDECREF(old); /* its context has it */
    if (known > 0 && old == value)
        return 0;
    PyObject *token = PyContextVar_Set(var, value);
    Py_XDECREF(token);
    return token == NULL ? -1 : 0;
}

/* The reference's `_publish`: set in the current context what the job changed in its own. */
static COLD int
publish(Fibre *fibre)
{
    PyObject *before = context_with(fibre->vars), *item;
    PyObject *items = before ? PyObject_CallMethodNoArgs(fibre->context, names.items) : NULL;
    PyObject *each = items ? PyObject_GetIter(items) : NULL;
    int failed = each == NULL;
    while (!failed && (item = PyIter_Next(each)) != NULL) {
        failed = publish_one(before, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1)) < 0;
        Py_DECREF(item);
    }
    failed |= PyErr_Occurred() != NULL;
    Py_XDECREF(each);
    Py_XDECREF(items);
    Py_XDECREF(before);
    return failed ? -1 : 0;
}

static inline int
has_changed(Fibre *fibre)
{
    return pystate_context_vars(fibre->context) != fibre->vars;
}

/* The call on `fibre` has ended: do what is due on the side of whoever sees it end. */
int
job_finish(Job *job, Fibre *fibre)
{
    if (fibre->vars == NULL)
        Py_CLEAR(fibre->driver);
    else if (unlikely(has_changed(fibre)) && publish(fibre) < 0) {
        PyObject *type, *exc, *tb; /* Ctrl-C: the books are closed all the same */
        PyErr_Fetch(&type, &exc, &tb);
        if (job_end(job, fibre) < 0)
            PyErr_Clear();
        PyErr_Restore(type, exc, tb);
        return -1;
    }
    return job_end(job, fibre);
}

PyObject *
job_resume(PyObject *self, PyObject *Py_UNUSED(none))
{
    Job *job = (Job *)self;
    Fibre *fibre = (Fibre *)job->fibre;
    if (unlikely(fibre == NULL || Py_TYPE(fibre) != (PyTypeObject *)hooks.fibre_type ||
                 fibre->state != PAUSED))
        return PyObject_CallOneArg(hooks.refuse_resume, self);
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    if (unlikely((PyObject *)thread->current != fibre->resumer)) {
        PyObject *done =
            PyObject_CallMethodOneArg(self, names.change_resumer, (PyObject *)fibre);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
        if ((PyObject *)fibre != job->fibre || fibre->state != PAUSED) /* a warning's filter ran code */
            return PyObject_CallOneArg(hooks.refuse_resume, self);
        if (fibre->base.thread != thread) {
            Py_CLEAR(fibre->resumer);
            raise_from_hook(hooks.dead_stack, job);
            return NULL;
        }
    }
    if (unlikely(greenlet_getcurrent != NULL) && note_greenlet(fibre) < 0)
        return NULL;
    /* Both are held meanwhile: the job by whoever called this method, the fibre by the job. */
    stack_enter(thread, &fibre->base);

    PyObject *done = NULL;
    if (fibre->state == PAUSED)
        done = Py_NewRef(Py_False);
    else if (likely(fibre->state == ENDED)) {
        if (likely(job_finish(job, fibre) == 0))
            done = Py_NewRef(Py_True);
    }
    else
        raise_from_hook(hooks.foreign_switch, job);
    return done;
}
