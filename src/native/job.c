/* Starting, pausing, resuming and ending jobs: pausable._job's fast path in C.
 *
 * Rules:
 * - Behaviour is defined by the reference in Python (pausable._job: `launch`, `pause`, `Job.resume`,
 *   `current_fibre`, `current_job`), line by line in the same order. What is rare is not repeated
 *   here: it is the reference's own functions, called as hooks.
 * - What users call is the builtin itself, never wrapped: a call in Python costs as much as all this.
 * - `alert` and `notable` hide all that is rare, as in the reference.
 * - Nothing is written before the thread was checked.
 * - Where the reference compares two contexts, this compares what they consist of: a context that
 *   nobody has set a variable in is left alone.
 * - A fibre takes the starter's reference to its job along until the first pause; then it borrows.
 */
#include "core.h"

extern HIDDEN Job *job_new(void);

/* So many idle stacks of a pool keep what they touched; see fibre_trim_if_deep for the others. */
#define WARM_STACKS 64

/* Functions of pausable._job for what is rare. */
static struct {
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
    PyObject *elsewhere; /* (as launch) -> job or None: with greenlet in the process; see _mixed */
    PyObject *given_way; /* set when jobs run on greenlet: idle fibres are not kept */
} hooks;

static struct {
    PyObject *may_pause, *resumed, *reset, *change_resumer, *context, *blocks, *outermost, *append, *drop;
    PyObject *name;
} names;

/* ------------------------------------------------------------------------------------------- ends */

/* Leave nothing of a call in its fibre, and give that back to its pool.
 *
 * Returns 0, or -1 with an exception set: the job's own, if it is one that whoever drives jobs must
 * not miss, or what a hook raised. */
static int
job_end(Job *job, Fibre *fibre)
{
    int failed = 0;
    Py_INCREF(fibre);
    Py_XSETREF(job->value, fibre->value);
    fibre->value = NULL;
    PyObject *exc = fibre->exc;
    fibre->exc = NULL;
    if (unlikely(exc == Py_None))
        Py_CLEAR(exc);
    Py_XSETREF(job->exc, exc);
    Py_SETREF(job->fibre, Py_NewRef(Py_None));
    fibre->weak_job = NULL;
    Py_CLEAR(fibre->job);
    Py_CLEAR(fibre->resumer);
    Py_CLEAR(fibre->entered);
    Py_CLEAR(fibre->vars);
    if (fibre->base.c != NULL)
        Py_CLEAR(fibre->base.c->py.context);
    Py_CLEAR(fibre->context);
    if (unlikely(exc != NULL)) {
        PyObject *done = PyObject_CallFunctionObjArgs(hooks.keep_traceback, job, exc, NULL);
        failed |= done == NULL;
        Py_XDECREF(done);
    }
    if (unlikely(fibre->notable) && !failed) {
        PyObject *done = PyObject_CallFunctionObjArgs(hooks.settle, job, fibre, NULL);
        failed |= done == NULL;
        Py_XDECREF(done);
    }
    else if (unlikely(hooks.given_way != NULL)) {
        PyObject *done =
            PyObject_CallMethodOneArg((PyObject *)fibre->pool, names.drop, (PyObject *)fibre);
        failed |= done == NULL;
        Py_XDECREF(done);
    }
    else if (likely(PyList_CheckExact(fibre->pool->idle))) {
        failed |= PyList_Append(fibre->pool->idle, (PyObject *)fibre) < 0;
        if (unlikely(PyList_GET_SIZE(fibre->pool->idle) > WARM_STACKS))
            fibre_trim_if_deep(fibre);
    }
    else {
        PyObject *done = PyObject_CallMethodOneArg(fibre->pool->idle, names.append, (PyObject *)fibre);
        failed |= done == NULL;
        Py_XDECREF(done);
    }
    Py_DECREF(fibre);
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
        Py_SETREF(((pystate_context *)context)->vars, Py_NewRef(vars));
    return context;
}

/* Set in the current context what the job changed in its own. */
static COLD int
publish(Fibre *fibre)
{
    PyObject *before = context_with(fibre->vars);
    if (before == NULL)
        return -1;
    PyObject *done = PyObject_CallFunctionObjArgs(hooks.publish, fibre->context, before, NULL);
    Py_DECREF(before);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static inline int
has_changed(Fibre *fibre)
{
    return pystate_context_vars(fibre->context) != fibre->vars;
}

/* The call on `fibre` has ended: do what is due on the side of whoever sees it end. */
static int
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

static COLD void
raise_from_hook(PyObject *hook, Job *job)
{
    PyObject *exc = PyObject_CallOneArg(hook, (PyObject *)job);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
}

/* ------------------------------------------------------------------------------------------ start */

/* A call: either a vector, as builtins get it, or a tuple and a dict. */
typedef struct {
    PyObject *fn;
    PyObject *const *vector;
    Py_ssize_t nargs;
    PyObject *names; /* of keywords, whose values follow in `vector` */
    PyObject *args;  /* NULL: it is a vector */
    PyObject *kwargs;
    PyObject *owned; /* what the latter two are borrowed from, or NULL */
} call;

static PyObject *
name_of(PyObject *fn)
{
    if (likely(PyFunction_Check(fn)))
        return Py_NewRef(((PyFunctionObject *)fn)->func_name);
    PyObject *name = PyObject_GetAttr(fn, names.name);
    if (name == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        name = PyObject_CallOneArg(hooks.name_of, fn);
    }
    return name;
}

/* Make a tuple and a dict of a vector. */
static COLD int
call_as_tuple(call *it)
{
    if (it->args != NULL)
        return 0;
    PyObject *args = PyTuple_New(it->nargs), *kwargs = NULL;
    if (args == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < it->nargs; i++)
        PyTuple_SET_ITEM(args, i, Py_NewRef(it->vector[i]));
    Py_ssize_t named = it->names != NULL ? PyTuple_GET_SIZE(it->names) : 0;
    if (named > 0) {
        if ((kwargs = PyDict_New()) == NULL) {
            Py_DECREF(args);
            return -1;
        }
        for (Py_ssize_t i = 0; i < named; i++)
            if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(it->names, i),
                               it->vector[it->nargs + i]) < 0) {
                Py_DECREF(args);
                Py_DECREF(kwargs);
                return -1;
            }
    }
    it->owned = PyTuple_Pack(2, args, kwargs != NULL ? kwargs : Py_None);
    it->args = args;
    it->kwargs = kwargs;
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return it->owned == NULL ? -1 : 0;
}

/* Have the pool make or find a fibre; the call may be exchanged (jobs that are watched). */
static COLD Fibre *
take_slowly(Pool *pool, Job *job, call *it)
{
    if (call_as_tuple(it) < 0)
        return NULL;
    PyObject *got = PyObject_CallFunctionObjArgs(hooks.take, pool, job, it->fn, it->args,
                                                 it->kwargs ? it->kwargs : Py_None, NULL);
    if (got == NULL)
        return NULL;
    if (!PyTuple_Check(got) || PyTuple_GET_SIZE(got) != 4 ||
        !PyObject_TypeCheck(PyTuple_GET_ITEM(got, 0), &Fibre_Type) ||
        ((Fibre *)PyTuple_GET_ITEM(got, 0))->active || !PyTuple_Check(PyTuple_GET_ITEM(got, 2))) {
        Py_DECREF(got);
        PyErr_SetString(PyExc_SystemError, "pausable: a pool gave out what is no idle fibre");
        return NULL;
    }
    Py_XSETREF(it->owned, got);
    it->fn = PyTuple_GET_ITEM(got, 1);
    it->args = PyTuple_GET_ITEM(got, 2);
    it->kwargs = PyTuple_GET_ITEM(got, 3) == Py_None ? NULL : PyTuple_GET_ITEM(got, 3);
    return (Fibre *)Py_NewRef(PyTuple_GET_ITEM(got, 0));
}

static inline __attribute__((always_inline)) Fibre *
take(Pool *pool, Job *job, call *it)
{
    PyObject *idle = pool->idle;
    if (likely(idle != NULL && PyList_CheckExact(idle))) {
        Py_ssize_t count = PyList_GET_SIZE(idle);
        if (likely(count > 0)) {
            PyObject *last = PyList_GET_ITEM(idle, count - 1);
            if (likely(PyObject_TypeCheck(last, &Fibre_Type) && !((Fibre *)last)->active)) {
                Py_SET_SIZE(idle, count - 1); /* its reference is ours now */
                return (Fibre *)last;
            }
        }
    }
    return take_slowly(pool, job, it);
}

/* Give the job its context; returns 0, or -1 with an exception set. */
static inline int
set_context(Fibre *fibre, PyObject *driver)
{
    PyObject *context;
    if (likely(driver == NULL)) {
        context = PyContext_CopyCurrent();
        if (unlikely(context == NULL))
            return -1;
        Py_XSETREF(fibre->vars, Py_NewRef(pystate_context_vars(context)));
    }
    else {
        context = PyObject_GetAttr(driver, names.context);
        if (context == NULL || !PyContext_CheckExact(context)) {
            Py_XDECREF(context);
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "a driver's context has to be a Context");
            return -1;
        }
        Py_XSETREF(fibre->driver, Py_NewRef(driver));
    }
    Py_XSETREF(fibre->context, context);
    Py_XSETREF(fibre->base.c->py.context, Py_NewRef(context));
    return 0;
}

/* A driver may want a frame of its own below the job's (trio: for its protection from Ctrl-C). */
static int
set_outermost(call *it, PyObject *driver)
{
    PyObject *outermost = PyObject_GetAttr(driver, names.outermost);
    if (outermost == NULL)
        return -1;
    if (outermost == Py_None) {
        Py_DECREF(outermost);
        return 0;
    }
    if (call_as_tuple(it) < 0) {
        Py_DECREF(outermost);
        return -1;
    }
    PyObject *owned = Py_BuildValue("(N(OOO)O)", outermost, it->fn, it->args,
                                    it->kwargs ? it->kwargs : Py_None,
                                    it->owned ? it->owned : Py_None);
    if (owned == NULL)
        return -1;
    Py_XSETREF(it->owned, owned);
    it->fn = PyTuple_GET_ITEM(owned, 0);
    it->args = PyTuple_GET_ITEM(owned, 1);
    it->kwargs = NULL;
    return 0;
}

/* Greenlet is in the process: start the job there. NULL without an exception: not this one. */
static COLD PyObject *
start_elsewhere(Pool *pool, PyObject *wait_ctx, PyObject *driver, call *it)
{
    if (call_as_tuple(it) < 0)
        return NULL;
    PyObject *job = PyObject_CallFunctionObjArgs(
        hooks.elsewhere, pool, wait_ctx ? wait_ctx : Py_None, driver ? driver : Py_None, it->fn,
        it->args, it->kwargs ? it->kwargs : Py_None, NULL);
    if (job == Py_None)
        Py_CLEAR(job);
    else
        Py_CLEAR(it->owned);
    return job;
}

static inline __attribute__((always_inline)) PyObject *
start_job(Thread *thread, Pool *pool, PyObject *wait_ctx, PyObject *driver, call *it)
{
    if (unlikely(greenlet_getcurrent != NULL) && hooks.elsewhere != NULL) {
        PyObject *started = start_elsewhere(pool, wait_ctx, driver, it);
        if (started != NULL || PyErr_Occurred())
            return started;
    }
    PyObject *name = name_of(it->fn);
    if (unlikely(name == NULL)) {
        Py_XDECREF(it->owned);
        return NULL;
    }
    Job *job = job_new();
    if (unlikely(job == NULL)) {
        Py_DECREF(name);
        Py_XDECREF(it->owned);
        return NULL;
    }
    job->name = name; /* from here on it is the job's */
    PyObject *asked_for = it->fn;
    Fibre *fibre = take(pool, job, it);
    if (unlikely(fibre == NULL)) {
        Py_XDECREF(it->owned);
        Py_DECREF(job);
        return NULL;
    }
    job->fibre = Py_NewRef(fibre);
    fibre->job = (Job *)Py_NewRef(job);
    if (unlikely(fibre_make_stack(fibre) < 0 || fibre->base.thread != thread ||
                 set_context(fibre, driver) < 0))
        goto not_begun;
    /* A job that is watched has such a frame (_watch.run), and one more would be a native one. */
    if (driver != NULL && it->fn == asked_for && set_outermost(it, driver) < 0)
        goto not_begun;
    Py_XSETREF(fibre->resumer, Py_NewRef(thread->current));
    if (wait_ctx != NULL) {
        PyObject *done = PyObject_CallFunctionObjArgs(hooks.wait_in, fibre, wait_ctx, NULL);
        if (done == NULL)
            goto not_begun;
        Py_DECREF(done);
    }
    if (unlikely(greenlet_getcurrent != NULL) && note_greenlet(fibre) < 0)
        goto not_begun;
    fibre->fn = Py_NewRef(it->fn);
    if (likely(it->args == NULL)) {
        fibre->vector = it->vector;
        fibre->nargs = it->nargs;
        fibre->kwargs = Py_XNewRef(it->names);
    }
    else {
        fibre->args = Py_NewRef(it->args);
        fibre->kwargs = Py_XNewRef(it->kwargs);
    }
    Py_CLEAR(it->owned);
    fibre_begin(thread, fibre);

    if (fibre->state == PAUSED) {
        fibre->weak_job = job;
        Py_CLEAR(fibre->job); /* not the last reference: we have one */
        Py_DECREF(fibre);
        return (PyObject *)job;
    }
    if (unlikely(fibre->state != ENDED)) {
        raise_from_hook(hooks.foreign_switch, job);
        Py_DECREF(fibre);
        Py_DECREF(job);
        return NULL;
    }
    int failed = job_finish(job, fibre);
    Py_DECREF(fibre);
    if (unlikely(failed)) {
        Py_DECREF(job);
        return NULL;
    }
    return (PyObject *)job;

not_begun : {
    PyObject *type, *exc, *tb;
    if (!PyErr_Occurred())
        PyErr_SetString(FibreError, "the pool gave out a stack of another thread");
    PyErr_Fetch(&type, &exc, &tb);
    Py_XDECREF(it->owned);
    Py_CLEAR(fibre->driver);
    fibre->state = ENDED;
    if (job_end(job, fibre) < 0)
        PyErr_Clear();
    Py_DECREF(fibre);
    Py_DECREF(job);
    PyErr_Restore(type, exc, tb);
    return NULL;
}
}

/* start(fn, /, *args, **kwargs) -> Job */
static PyObject *
native_start(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    if (unlikely(nargs < 1)) {
        PyErr_SetString(PyExc_TypeError, "start() missing 1 required positional argument: 'fn'");
        return NULL;
    }
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    call it = {.fn = args[0], .vector = args + 1, .nargs = nargs - 1, .names = keywords};
    if (likely(thread->pool != NULL))
        return start_job(thread, thread->pool, NULL, NULL, &it);
    PyObject *pool = PyObject_CallNoArgs(hooks.thread_pool);
    if (pool == NULL)
        return NULL;
    PyObject *job = NULL;
    if (PyObject_TypeCheck(pool, &Pool_Type))
        job = start_job(thread, (Pool *)pool, NULL, NULL, &it);
    else
        PyErr_SetString(PyExc_TypeError, "pausable: the thread's pool is none");
    Py_DECREF(pool);
    return job;
}

/* launch(pool, wait_ctx, driver, fn, args, kwargs) -> Job */
static PyObject *
native_launch(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 6 || !PyObject_TypeCheck(args[0], &Pool_Type) || !PyTuple_Check(args[4]) ||
        !(args[5] == Py_None || PyDict_Check(args[5]))) {
        PyErr_SetString(PyExc_TypeError, "launch(pool, wait_ctx, driver, fn, args, kwargs)");
        return NULL;
    }
    Thread *thread = here();
    if (thread == NULL)
        return NULL;
    call it = {.fn = args[3], .args = args[4], .kwargs = args[5] == Py_None ? NULL : args[5]};
    return start_job(thread, (Pool *)args[0], args[1] == Py_None ? NULL : args[1],
                     args[2] == Py_None ? NULL : args[2], &it);
}

/* ---------------------------------------------------------------------------------- inside a job */

/* Return the fibre of the job that is running in this thread, or NULL. */
static inline Fibre *
running(Thread *thread)
{
    Fibre *fibre = (Fibre *)thread->current;
    if (likely(Py_TYPE(fibre) == (PyTypeObject *)hooks.fibre_type && fibre->state == RUNNING))
        return fibre;
    return NULL;
}

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

/* pause() -> bool */
static PyObject *
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
    if (unlikely(fibre == NULL))
        return PyObject_CallNoArgs(hooks.outside);
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
    if (unlikely(greenlet_getcurrent != NULL) && check_greenlet(fibre) < 0)
        return NULL;
    fibre->state = PAUSED;
    stack_enter(thread, to);
    fibre->state = RUNNING;
    if (unlikely(fibre->alert) && asks(fibre, names.resumed) < 0)
        return NULL; /* a job that is unwound begins no window */
    if (is_set(fibre->wait_ctx)) {
        PyObject *done = PyObject_CallMethodNoArgs(fibre->wait_ctx, names.reset);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    Py_RETURN_TRUE;
}

/* What the builtins stand in for. Once jobs run on greenlet, it is asked outside of native jobs. */
static struct {
    PyObject *current_fibre, *current_job, *can_pause;
} references;

static PyObject *
native_current_fibre(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here();
    if (thread == NULL || nargs != 0) {
        if (thread != NULL)
            PyErr_SetString(PyExc_TypeError, "current_fibre() takes no arguments");
        return NULL;
    }
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.current_fibre);
    return Py_NewRef(fibre != NULL ? (PyObject *)fibre : Py_None);
}

static PyObject *
native_current_job(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here();
    if (thread == NULL || nargs != 0) {
        if (thread != NULL)
            PyErr_SetString(PyExc_TypeError, "current_job() takes no arguments");
        return NULL;
    }
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.current_job);
    if (fibre == NULL)
        Py_RETURN_NONE;
    PyObject *job = (PyObject *)(fibre->job != NULL ? fibre->job : fibre->weak_job);
    return Py_NewRef(job != NULL ? job : Py_None);
}

static PyObject *
native_can_pause(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    Thread *thread = here();
    if (thread == NULL || nargs != 0) {
        if (thread != NULL)
            PyErr_SetString(PyExc_TypeError, "can_pause() takes no arguments");
        return NULL;
    }
    Fibre *fibre = running(thread);
    if (unlikely(fibre == NULL && hooks.given_way != NULL))
        return PyObject_CallNoArgs(references.can_pause);
    if (fibre == NULL)
        Py_RETURN_FALSE;
    if (likely(!fibre->alert)) /* blocks set it */
        Py_RETURN_TRUE;
    PyObject *blocks = PyObject_GetAttr((PyObject *)fibre, names.blocks);
    if (blocks == NULL)
        return NULL;
    int blocked = PyObject_IsTrue(blocks);
    Py_DECREF(blocks);
    return blocked < 0 ? NULL : PyBool_FromLong(!blocked);
}

/* ----------------------------------------------------------------------------------------- resume */

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
        if (fibre->base.thread != thread) {
            raise_from_hook(hooks.dead_stack, job);
            return NULL;
        }
        if ((PyObject *)fibre != job->fibre || fibre->state != PAUSED) /* a warning's filter ran code */
            return PyObject_CallOneArg(hooks.refuse_resume, self);
    }
    if (unlikely(greenlet_getcurrent != NULL) && note_greenlet(fibre) < 0)
        return NULL;
    Py_INCREF(fibre);
    Py_INCREF(job);
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
    Py_DECREF(fibre);
    Py_DECREF(job);
    return done;
}

/* --------------------------------------------------------------------------------------- the rest */

static PyMethodDef builtins[] = {
    {"start", (PyCFunction)(void (*)(void))native_start, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"launch", (PyCFunction)(void (*)(void))native_launch, METH_FASTCALL, NULL},
    {"pause", (PyCFunction)(void (*)(void))native_pause, METH_FASTCALL, NULL},
    {"current_fibre", (PyCFunction)(void (*)(void))native_current_fibre, METH_FASTCALL, NULL},
    {"current_job", (PyCFunction)(void (*)(void))native_current_job, METH_FASTCALL, NULL},
    {"can_pause", (PyCFunction)(void (*)(void))native_can_pause, METH_FASTCALL, NULL},
};

/* Return the builtin that does what a function of the reference does, with its text and module. */
PyObject *
instead_of(PyObject *Py_UNUSED(module), PyObject *reference)
{
    static const char *const signatures[] = {"fn, /, *args, **kwargs",
                                             "pool, wait_ctx, driver, fn, args, kwargs, /",
                                             "", "", "", ""};
    PyObject *name = PyObject_GetAttrString(reference, "__name__");
    PyObject *doc = PyObject_GetAttrString(reference, "__doc__");
    PyObject *in = PyObject_GetAttrString(reference, "__module__");
    PyObject *builtin = NULL;
    const char *called = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    const char *text = doc && PyUnicode_Check(doc) ? PyUnicode_AsUTF8(doc) : "";
    for (size_t i = 0; called && text && in && i < sizeof builtins / sizeof *builtins; i++) {
        if (strcmp(called, builtins[i].ml_name) != 0)
            continue;
        char *whole = PyMem_RawMalloc(strlen(text) + strlen(signatures[i]) + strlen(called) + 16);
        if (whole == NULL) {
            PyErr_NoMemory();
            break;
        }
        sprintf(whole, "%s(%s)\n--\n\n%s", called, signatures[i], text);
        builtins[i].ml_doc = whole; /* lives as long as the builtin: for ever */
        builtin = PyCFunction_NewEx(&builtins[i], NULL, in);
        if (strcmp(called, "current_fibre") == 0)
            Py_XSETREF(references.current_fibre, Py_NewRef(reference));
        else if (strcmp(called, "current_job") == 0)
            Py_XSETREF(references.current_job, Py_NewRef(reference));
        else if (strcmp(called, "can_pause") == 0)
            Py_XSETREF(references.can_pause, Py_NewRef(reference));
        break;
    }
    if (builtin == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_LookupError, "there is no builtin for %R", reference);
    Py_XDECREF(name);
    Py_XDECREF(doc);
    Py_XDECREF(in);
    return builtin;
}

static int
intern(PyObject **at, const char *text)
{
    if (*at == NULL)
        *at = PyUnicode_InternFromString(text);
    return *at == NULL ? -1 : 0;
}

/* Take over the functions of the reference for what is rare: a dict, by name. */
PyObject *
bind_hooks(PyObject *Py_UNUSED(module), PyObject *given)
{
    static const struct {
        const char *name;
        PyObject **at;
    } all[] = {
        {"take", &hooks.take},
        {"name_of", &hooks.name_of},
        {"wait_in", &hooks.wait_in},
        {"publish", &hooks.publish},
        {"settle", &hooks.settle},
        {"keep_traceback", &hooks.keep_traceback},
        {"outside", &hooks.outside},
        {"refuse_resume", &hooks.refuse_resume},
        {"foreign_switch", &hooks.foreign_switch},
        {"dead_stack", &hooks.dead_stack},
        {"thread_pool", &hooks.thread_pool},
        {"fibre_type", &hooks.fibre_type},
        {"elsewhere", &hooks.elsewhere},
        {"given_way", &hooks.given_way},
    };
    if (!PyDict_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "hooks have to be a dict");
        return NULL;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        PyObject *hook = PyDict_GetItemString(given, all[i].name);
        if (hook != NULL)
            Py_XSETREF(*all[i].at, Py_NewRef(hook));
    }
    if (intern(&names.may_pause, "may_pause") < 0 || intern(&names.resumed, "resumed") < 0 ||
        intern(&names.reset, "_reset") < 0 || intern(&names.context, "context") < 0 ||
        intern(&names.change_resumer, "_change_resumer") < 0 ||
        intern(&names.blocks, "blocks") < 0 || intern(&names.outermost, "outermost") < 0 ||
        intern(&names.append, "append") < 0 || intern(&names.drop, "drop") < 0 || intern(&names.name, "__name__") < 0)
        return NULL;
    Py_RETURN_NONE;
}
