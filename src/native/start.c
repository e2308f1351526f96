/* Starting jobs.
 *
 * Rules:
 * - A fibre borrows its job: until the first pause this code holds it, then whoever has the handle.
 * - What goes wrong before the call has begun leaves the fibre idle in its pool.
 */
#include "job.h"

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

/* Make a tuple, and a dict unless there are no keywords, of a vector; 0, or -1. */
int
vector_as_tuple(PyObject *const *vector, Py_ssize_t nargs, PyObject *keywords, PyObject **args,
                PyObject **kwargs)
{
    *kwargs = NULL;
    if ((*args = PyTuple_New(nargs)) == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < nargs; i++)
        PyTuple_SET_ITEM(*args, i, Py_NewRef(vector[i]));
    Py_ssize_t named = keywords != NULL ? PyTuple_GET_SIZE(keywords) : 0;
    if (named == 0)
        return 0;
    int failed = (*kwargs = PyDict_New()) == NULL;
    for (Py_ssize_t i = 0; !failed && i < named; i++)
        failed = PyDict_SetItem(*kwargs, PyTuple_GET_ITEM(keywords, i), vector[nargs + i]) < 0;
    if (failed) {
        Py_CLEAR(*args);
        Py_CLEAR(*kwargs);
    }
    return failed ? -1 : 0;
}

static COLD int
call_as_tuple(call *it)
{
    PyObject *args, *kwargs;
    if (it->args != NULL)
        return 0;
    if (vector_as_tuple(it->vector, it->nargs, it->names, &args, &kwargs) < 0)
        return -1;
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
            if (likely(Py_TYPE(last) == (PyTypeObject *)hooks.fibre_type &&
                       !((Fibre *)last)->active)) {
                Py_SET_SIZE(idle, count - 1); /* its reference is ours now */
                return (Fibre *)last;
            }
        }
        Fibre *fresh;
        if (likely(pool_grow(pool, &fresh) != 0))
            return fresh;
    }
    return take_slowly(pool, job, it);
}

/* Give the job its context; returns 0, or -1 with an exception set. */
static inline int
set_context(Thread *thread, Fibre *fibre, PyObject *driver)
{
    PyObject *context;
    if (likely(driver == NULL)) {
        PyObject *current = thread->ts->context;
        if (likely(fibre->spare != NULL)) {
            context = fibre->spare;
            fibre->spare = NULL;
            pystate_set_context_vars(context,
                                     current != NULL ? pystate_context_vars(current) : no_vars);
        }
        else if ((context = PyContext_CopyCurrent()) == NULL)
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

/* Have the job wait in a context. Its end need not be `notable` for that, as on greenlet. */
static inline int
wait_in(Fibre *fibre, PyObject *wait_ctx)
{
    if (wait_ctx_job_begins(wait_ctx) < 0)
        return -1;
    Py_XSETREF(fibre->wait_ctx, Py_NewRef(wait_ctx));
    return 0;
}

/* JobFibre.wait_in(wait_ctx) */
PyObject *
fibre_wait_in(PyObject *self, PyObject *wait_ctx)
{
    if (wait_in((Fibre *)self, wait_ctx) < 0)
        return NULL;
    Py_RETURN_NONE;
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
    if (unlikely(pystate_is_full(thread->ts))) { /* jobs that start jobs, all of them in C */
        PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded by nested starts");
        Py_XDECREF(it->owned);
        return NULL;
    }
    /* What a native job starts runs natively, too: greenlet cannot have its stack. */
    if (unlikely(greenlet_getcurrent != NULL) && hooks.elsewhere != NULL &&
        !(hooks.given_way != NULL && thread->current != &thread->base)) {
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
    job->fibre = (PyObject *)fibre; /* that reference is the job's now */
    fibre->weak_job = job;
    if (unlikely((fibre->base.c == NULL && fibre_make_stack(fibre) < 0) || fibre->base.thread != thread ||
                 set_context(thread, fibre, driver) < 0))
        goto not_begun;
    /* A job that is watched has such a frame (_watch.run), and one more would be a native one. */
    if (driver != NULL && it->fn == asked_for && set_outermost(it, driver) < 0)
        goto not_begun;
    Py_XSETREF(fibre->resumer, Py_NewRef(thread->current));
    if (wait_ctx != NULL && wait_in(fibre, wait_ctx) < 0)
        goto not_begun;
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

    if (fibre->state == PAUSED)
        return (PyObject *)job;
    if (unlikely(fibre->state != ENDED)) {
        raise_from_hook(hooks.foreign_switch, job);
        Py_DECREF(job);
        return NULL;
    }
    int failed = job_finish(job, fibre);
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
    Py_DECREF(job);
    PyErr_Restore(type, exc, tb);
    return NULL;
}
}

/* start(fn, /, *args, **kwargs) -> Job */
PyObject *
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
    if (unlikely(thread->pool == NULL)) {
        PyObject *pool = PyObject_CallNoArgs(hooks.thread_pool);
        if (pool == NULL)
            return NULL;
        Py_DECREF(pool); /* the thread's thread-local has it */
        if (thread->pool == NULL) {
            PyErr_SetString(PyExc_SystemError, "pausable: a thread's pool was not noted");
            return NULL;
        }
    }
    Pool *pool = (Pool *)Py_NewRef(thread->pool);
    PyObject *job = start_job(thread, pool, NULL, NULL, &it);
    Py_DECREF(pool);
    return job;
}

/* Refuse to use a pool in another thread than its own; 0, or -1 with an error set. */
static inline int
check_thread(PyObject *pool)
{
    if (likely(((Pool *)pool)->thread == PyThread_get_thread_ident()))
        return 0;
    PyObject *done = PyObject_CallMethodNoArgs(pool, names.check_thread);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* JobPool.start(fn, /, *args, **kwargs) -> Job */
PyObject *
pool_start(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    if (unlikely(nargs < 1)) {
        PyErr_SetString(PyExc_TypeError,
                        "JobPool.start() missing 1 required positional argument: 'fn'");
        return NULL;
    }
    if (unlikely(check_thread(self) < 0))
        return NULL;
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    call it = {.fn = args[0], .vector = args + 1, .nargs = nargs - 1, .names = keywords};
    return start_job(thread, (Pool *)self, NULL, NULL, &it);
}

/* JobPool.start_in(wait_ctx, fn, /, *args, **kwargs) -> Job */
PyObject *
pool_start_in(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    if (unlikely(nargs < 2)) {
        PyErr_SetString(PyExc_TypeError,
                        nargs == 1 ? "JobPool.start_in() missing 1 required positional argument: 'fn'"
                                   : "JobPool.start_in() missing 2 required positional arguments:"
                                     " 'wait_ctx' and 'fn'");
        return NULL;
    }
    if (unlikely(check_thread(self) < 0))
        return NULL;
    if (unlikely(!wait_ctx_is_free(args[0]))) {
        PyObject *done = PyObject_CallOneArg(hooks.refuse_context, args[0]);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    call it = {.fn = args[1], .vector = args + 2, .nargs = nargs - 2, .names = keywords};
    return start_job(thread, (Pool *)self, args[0], NULL, &it);
}

/* launch(pool, wait_ctx, driver, fn, args, kwargs) -> Job */
PyObject *
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
