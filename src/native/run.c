/* run: a call as a job of the running asyncio task.
 *
 * Rules:
 * - The reference is pausable.loops._entry: `run` and `_run`. What `run` returns is a coroutine of a
 *   function there, as with the reference; what that calls is `drive_job`.
 * - Where something else than the usual is to be done (trio, a pool with a limit), `drive_job` returns
 *   None before it has done anything, and the reference does all of it.
 */
#include "drive.h"

static struct {
    PyObject *coroutine;         /* (fn, args, kwargs) -> coroutine */
    PyObject *check_synchronous; /* (fn): raises */
    PyObject *is_trio;           /* () -> bool: whether trio, which was imported, runs this */
    PyObject *modules;           /* sys.modules */
    PyObject *trio;              /* "trio" */
} in_entry;

/* run(fn, /, *args, **kwargs) -> coroutine */
PyObject *
native_run(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    if (unlikely(nargs < 1)) {
        PyErr_SetString(PyExc_TypeError, "run() missing 1 required positional argument: 'fn'");
        return NULL;
    }
    PyObject *fn = args[0];
    if (unlikely(!PyFunction_Check(fn) ||
                 ((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags & CO_COROUTINE)) {
        PyObject *done = PyObject_CallOneArg(in_entry.check_synchronous, fn);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    PyObject *given, *named;
    if (vector_as_tuple(args + 1, nargs - 1, keywords, &given, &named) < 0)
        return NULL;
    PyObject *call[] = {NULL, fn, given, named != NULL ? named : Py_None};
    PyObject *coroutine = PyObject_Vectorcall(in_entry.coroutine, call + 1,
                                              3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(given);
    Py_XDECREF(named);
    return coroutine;
}

/* The thread's pool if it has no limit; borrowed. NULL without an error: not here. */
static PyObject *
unlimited_pool(void)
{
    Thread *thread = here();
    if (thread == NULL || thread->pool == NULL)
        return NULL;
    PyObject *pool = (PyObject *)thread->pool;
    PyObject *limit = PyObject_GetAttr(pool, drive_name.max_size);
    Py_XDECREF(limit);
    return limit == Py_None ? pool : NULL;
}

static int
is_trio(void)
{
    if (likely(PyDict_GetItemWithError(in_entry.modules, in_entry.trio) == NULL))
        return PyErr_Occurred() ? -1 : 0;
    PyObject *answer = PyObject_CallNoArgs(in_entry.is_trio);
    int truth = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

/* drive_job(fn, args, kwargs) -> what the task awaits until the job has ended, and then asks for the
 * result; or None: not this one. */
static PyObject *
drive_job(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (unlikely(nargs != 3)) {
        PyErr_SetString(PyExc_TypeError, "drive_job(fn, args, kwargs)");
        return NULL;
    }
    if (unlikely(in_asyncio.drive_type == NULL)) /* asyncio's part was not imported yet */
        Py_RETURN_NONE;
    int trio = is_trio();
    PyObject *pool = trio == 0 ? unlimited_pool() : NULL;
    Drive *drive = pool != NULL ? drive_new() : NULL;
    if (unlikely(drive == NULL)) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Py_INCREF(pool);
    PyObject *kwargs = args[2], *until = NULL;
    if (PyDict_Check(kwargs) && PyDict_GET_SIZE(kwargs) == 0)
        kwargs = Py_None; /* it would live as long as the call */
    PyObject *call[] = {pool, Py_None, (PyObject *)drive, args[0], args[1], kwargs};
    Job *job = (Job *)native_launch(NULL, call, 6);
    Py_DECREF(pool);
    if (unlikely(job == NULL))
        goto done;
    if (!is_set(job->fibre)) { /* it has not paused */
        if (unlikely(is_set(drive->ctx))) {
            PyObject *closed = PyObject_CallMethodNoArgs((PyObject *)drive, drive_name.close);
            if (closed == NULL)
                goto done;
            Py_DECREF(closed);
        }
        until = until_new(drive, job, NULL);
    }
    else
        until = until_new(drive, job, (Fibre *)job->fibre);
done:
    Py_XDECREF(job);
    Py_DECREF(drive);
    return until;
}

/* Take over functions of pausable.loops._entry: a dict; return the builtin `drive_job`. */
PyObject *
bind_run(PyObject *Py_UNUSED(module), PyObject *given)
{
    static const hook_place all[] = {
        {"coroutine", &in_entry.coroutine},
        {"check_synchronous", &in_entry.check_synchronous},
        {"is_trio", &in_entry.is_trio},
        {"modules", &in_entry.modules},
    };
    static PyMethodDef builtin = {"drive_job", (PyCFunction)(void (*)(void))drive_job, METH_FASTCALL,
                                  "Start a job, and return what the task awaits."};
    if (in_entry.trio == NULL && (in_entry.trio = PyUnicode_InternFromString("trio")) == NULL)
        return NULL;
    if (take_hooks(given, all, sizeof all / sizeof *all, 1) < 0)
        return NULL;
    return PyCFunction_NewEx(&builtin, NULL, NULL);
}
