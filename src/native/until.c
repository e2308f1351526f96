/* What a task awaits while its job is paused.
 *
 * Rules:
 * - It is an iterator, as coroutines' are: `send`, `throw` and `close` go to what the job waits for;
 *   when that has an outcome, the job gets it, and runs to its next pause or its end.
 * - What is rare is handed over: `drive_on`, a coroutine in Python, goes on from where this is, and
 *   from then on everything is passed to it.
 * - However it ends, `drive_leave` is called once: also when it is closed, or freed.
 */
#include "drive.h"

/* Whether the job waits for something of the kinds that are awaited here. */
int
until_can_await(Drive *drive, Fibre *fibre)
{
    PyObject *awaited = drive->awaited;
    /* With greenlet in the process, the job may be there. `alert` is set when it is cancelled, too. */
    return likely((PyObject *)Py_TYPE(fibre) == hooks.fibre_type && awaited != NULL &&
                  !fibre->alert && (is_future(awaited) || is_coroutine(awaited)));
}

static int
is_awaited_already(PyObject *coroutine)
{
    PyObject *awaited = PyObject_GetAttr(coroutine, drive_name.cr_await);
    int already = awaited != Py_None;
    if (awaited != NULL && already)
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    Py_XDECREF(awaited);
    return already;
}

/* Take what the job waits for, and return its iterator. */
static PyObject *
take_awaited(Drive *drive, Job *job, Fibre *fibre)
{
    PyObject *awaited = drive->awaited, *inner = NULL;
    drive->awaited = NULL;
    drive->awaiting = 1;
    if (unlikely(((Hub *)drive->hub)->driven > turns))
        Py_SETREF(awaited, PyObject_CallMethodObjArgs((PyObject *)drive, drive_name.in_turn,
                                                      awaited, job, fibre, NULL));
    /* Futures and coroutines; the former's subclasses have inherited it. */
    if (likely(awaited != NULL && !(is_coroutine(awaited) && is_awaited_already(awaited))))
        inner = Py_TYPE(awaited)->tp_as_async->am_await(awaited);
    Py_XDECREF(awaited);
    return inner;
}

static int
call_and_drop(PyObject *on, PyObject *method, Job *job, Fibre *fibre, PyObject *more)
{
    PyObject *done = PyObject_CallMethodObjArgs(on, method, job, fibre, more, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Give the job the outcome of what it waited for, and go on with it.
 *
 * Takes `value`; NULL: the exception that is set.
 * Returns 1 if it has ended, 0 if not, -1 with an exception set. */
static int
answer(Until *self, PyObject *value)
{
    Drive *drive = self->drive;
    Job *job = self->job;
    if (likely(value != NULL))
        Py_XSETREF(drive->value, value);
    else {
        if (PyErr_ExceptionMatches(PyExc_GeneratorExit))
            return -1;
        PyObject *exc = take_error();
        int failed = call_and_drop((PyObject *)drive, drive_name.fail, job, self->fibre, exc);
        Py_DECREF(exc);
        if (failed)
            return -1;
    }
    drive->awaiting = 0;
    drive->answered = 1;
    int ended = 1;
    if (likely(is_set(job->fibre))) { /* else somebody else has ended it meanwhile */
        PyObject *done = job_resume((PyObject *)job, NULL);
        if (unlikely(done == NULL))
            return -1;
        ended = done == Py_True;
        Py_DECREF(done);
    }
    if (ended) {
        if (unlikely(is_set(drive->late))) {
            PyObject *done = PyObject_CallMethodNoArgs(drive->late, drive_name.raise_if_missed);
            Py_XDECREF(done);
            return done == NULL ? -1 : 1;
        }
        return 1;
    }
    if (unlikely(self->fibre->alert)) {
        PyObject *cancel = PyObject_GetAttr((PyObject *)self->fibre, drive_name.cancel);
        if (cancel == NULL)
            return -1;
        int cancelled = cancel != Py_None;
        Py_DECREF(cancel);
        if (cancelled && call_and_drop((PyObject *)drive, drive_name.bound, job, self->fibre, NULL) < 0)
            return -1;
    }
    return 0;
}

/* Have it wait for what the job waits for now. Returns as PyIter_Send. */
static PySendResult
wait_on(Until *self, PyObject **result)
{
    PyObject *inner;
    if (likely(until_can_await(self->drive, self->fibre))) {
        self->phase = WAITS;
        inner = take_awaited(self->drive, self->job, self->fibre);
    }
    else {
        self->phase = HANDED_OVER;
        inner = PyObject_CallMethodObjArgs((PyObject *)self->drive, drive_name.drive_on, self->job,
                                           self->fibre, NULL);
    }
    *result = NULL;
    self->inner = inner;
    return inner != NULL ? PyIter_Send(inner, Py_None, result) : PYGEN_ERROR;
}

/* End it; returns 0, or -1 with an exception set. */
static int
leave(Until *self)
{
    Py_CLEAR(self->inner);
    self->phase = OVER;
    int failed = drive_leave(self->drive, self->job, self->fibre);
    Py_CLEAR(self->fibre);
    return failed;
}

/* Go on after what is awaited has returned: `sent` is what, with `*result` as of PyIter_Send. */
static PySendResult
go_on(Until *self, PySendResult sent, PyObject **result)
{
    while (sent != PYGEN_NEXT) {
        PyObject *value = sent == PYGEN_RETURN ? *result : NULL;
        *result = NULL;
        Py_CLEAR(self->inner);
        int ended;
        if (likely(self->phase == WAITS))
            ended = answer(self, value);
        else {
            ended = value != NULL ? 1 : -1;
            Py_XDECREF(value);
        }
        if (ended != 0) {
            if (leave(self) < 0 || ended < 0)
                return PYGEN_ERROR;
            *result = Py_NewRef(Py_None);
            return PYGEN_RETURN;
        }
        sent = wait_on(self, result);
    }
    return PYGEN_NEXT;
}

static COLD void
refuse(void)
{
    PyErr_SetString(PyExc_ValueError, "the wait for this job is going on already");
}

static PySendResult
until_am_send(Until *self, PyObject *arg, PyObject **result)
{
    if (unlikely(self->runs)) {
        refuse();
        *result = NULL;
        return PYGEN_ERROR;
    }
    if (self->phase == OVER) { /* the job has not paused at all */
        *result = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    self->runs = 1;
    PySendResult sent =
        self->phase == NEW ? wait_on(self, result) : PyIter_Send(self->inner, arg, result);
    sent = go_on(self, sent, result);
    self->runs = 0;
    return sent;
}

static PyObject *
until_iternext(Until *self)
{
    PyObject *result;
    PySendResult sent = until_am_send(self, Py_None, &result);
    if (sent == PYGEN_RETURN) /* None always: without an exception, that is the end */
        Py_CLEAR(result);
    return result;
}

/* What a method returns of it. */
static PyObject *
as_method(PySendResult sent, PyObject *result)
{
    if (sent == PYGEN_RETURN) {
        Py_CLEAR(result);
        PyErr_SetNone(PyExc_StopIteration);
    }
    return result;
}

static PyObject *
until_send(Until *self, PyObject *arg)
{
    PyObject *result;
    PySendResult sent = until_am_send(self, arg, &result);
    return as_method(sent, result);
}

/* Call a method of what is awaited, which may end it. */
static PySendResult
call_inner(PyObject *method, PyObject *const *args, Py_ssize_t nargs, PyObject **result)
{
    *result = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    if (*result != NULL)
        return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    PyObject *end = take_error();
    *result = PyObject_GetAttr(end, drive_name.value);
    Py_DECREF(end);
    return *result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static PyObject *
until_throw(Until *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *result = NULL, *method;
    if (unlikely(self->runs || nargs < 1)) {
        refuse();
        return NULL;
    }
    if (unlikely(self->inner == NULL)) { /* not begun, or over */
        if (PyExceptionInstance_Check(args[0]))
            PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
        else
            PyErr_SetObject(args[0], nargs > 1 ? args[1] : NULL);
        if (self->phase != OVER)
            leave(self);
        return NULL;
    }
    if ((method = PyObject_GetAttr(self->inner, drive_name.throw_)) == NULL)
        return NULL;
    self->runs = 1;
    PySendResult sent = call_inner(method, args, nargs, &result);
    Py_DECREF(method);
    sent = go_on(self, sent, &result);
    self->runs = 0;
    return as_method(sent, result);
}

/* Nobody will go on with it; returns 0, or -1 with an exception set. */
static int
give_up(Until *self)
{
    PyObject *result = NULL, *closed = NULL;
    if (self->inner != NULL) {
        closed = PyObject_CallMethodNoArgs(self->inner, drive_name.close);
        Py_XDECREF(closed);
        /* What it raises instead is its outcome, and the job goes on. */
        if (closed == NULL && go_on(self, PYGEN_ERROR, &result) == PYGEN_NEXT)
            PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        Py_XDECREF(result);
        if (closed == NULL)
            return PyErr_Occurred() ? -1 : 0;
    }
    return leave(self);
}

static PyObject *
until_close(Until *self, PyObject *Py_UNUSED(none))
{
    if (self->runs) {
        refuse();
        return NULL;
    }
    if (self->phase == OVER)
        Py_RETURN_NONE;
    self->runs = 1;
    int failed = give_up(self);
    self->runs = 0;
    return failed ? NULL : Py_NewRef(Py_None);
}

/* -------------------------------------------------------------------------------------- the type */

PyObject *
until_new(Drive *drive, Job *job, Fibre *fibre)
{
    Until *self = PyObject_GC_New(Until, &Until_Type);
    if (unlikely(self == NULL))
        return NULL;
    self->drive = (Drive *)Py_NewRef(drive);
    self->job = (Job *)Py_NewRef(job);
    self->fibre = (Fibre *)Py_XNewRef(fibre);
    self->inner = NULL;
    self->phase = OVER;
    self->runs = 0;
    PyObject_GC_Track(self);
    if (likely(fibre != NULL)) {
        if (unlikely(drive_count(drive) < 0)) {
            Py_DECREF(self);
            return NULL;
        }
        self->phase = NEW;
    }
    return (PyObject *)self;
}

/* Return what the call has returned, or raise what it has raised. */
static PyObject *
until_result(Until *self, PyObject *Py_UNUSED(none))
{
    Job *job = self->job;
    if (unlikely(job == NULL || self->phase != OVER || is_set(job->fibre))) {
        PyErr_SetString(PyExc_RuntimeError, "there is no result to be had here");
        return NULL;
    }
    if (likely(!is_set(job->exc)))
        return Py_NewRef(job->value != NULL ? job->value : Py_None);
    self->job = NULL; /* the frame of whoever asks holds this: no cycle through it */
    PyObject *result =
        PyObject_CallMethodOneArg((PyObject *)self->drive, drive_name.outcome, (PyObject *)job);
    Py_DECREF(job);
    return result;
}

static int
until_traverse(Until *self, visitproc visit, void *arg)
{
    Py_VISIT(self->drive);
    Py_VISIT(self->job);
    Py_VISIT(self->fibre);
    Py_VISIT(self->inner);
    return 0;
}

/* Without an owner that closes it: the job is not driven any more. */
static void
until_finalize(PyObject *object)
{
    Until *self = (Until *)object;
    if (likely(self->phase == OVER))
        return;
    PyObject *exc = PyErr_Occurred() ? take_error() : NULL;
    self->runs = 1;
    if (give_up(self) < 0)
        PyErr_WriteUnraisable(object);
    self->runs = 0;
    if (exc != NULL)
        give_error(exc);
}

static void
until_dealloc(Until *self)
{
    if (unlikely(self->phase != OVER) && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->job);
    Py_CLEAR(self->fibre);
    Py_CLEAR(self->drive);
    PyObject_GC_Del(self);
}

static PyMethodDef until_methods[] = {
    {"send", (PyCFunction)until_send, METH_O, "As of a coroutine."},
    {"throw", (PyCFunction)(void (*)(void))until_throw, METH_FASTCALL, "As of a coroutine."},
    {"close", (PyCFunction)until_close, METH_NOARGS, "As of a coroutine."},
    {"result", (PyCFunction)until_result, METH_NOARGS, "Return what the call has returned."},
    {NULL},
};

static PyAsyncMethods until_as_async = {
    .am_await = PyObject_SelfIter,
    .am_send = (sendfunc)until_am_send,
};

PyTypeObject Until_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Until",
    .tp_doc = "Awaited while a job is paused.",
    .tp_basicsize = sizeof(Until),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)until_dealloc,
    .tp_traverse = (traverseproc)until_traverse,
    .tp_finalize = until_finalize,
    .tp_as_async = &until_as_async,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)until_iternext,
    .tp_methods = until_methods,
};
