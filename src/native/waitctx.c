/* Wait contexts (pausable._wait_context.WaitContext), as far as each pause and end needs them.
 *
 * Rules:
 * - They are objects of Python's; their slots are read and written where the type says they are.
 * - Only what is common is done here: an instance of the very class, with plain values in it. For
 *   all else its own methods are called.
 * - Other threads may look at any time that code in Python runs: so none runs in between.
 */
#include "job.h"

static PyTypeObject *kind;
static Py_ssize_t at_added, at_deleted, at_jobs, at_generation, at_wakers, at_fired, at_closed;

/* Take over the type. */
PyObject *
bind_wait_context(PyObject *Py_UNUSED(module), PyObject *type)
{
    static const struct {
        const char *name;
        Py_ssize_t *at;
    } slots[] = {
        {"_added", &at_added},           {"_deleted", &at_deleted}, {"_jobs", &at_jobs},
        {"_generation", &at_generation}, {"_wakers", &at_wakers},   {"_fired", &at_fired},
        {"_closed", &at_closed},
    };
    if (!PyType_Check(type)) {
        PyErr_Format(PyExc_TypeError, "WaitContext has to be a class, not %R", type);
        return NULL;
    }
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        PyObject *slot = PyObject_GetAttrString(type, slots[i].name);
        if (slot == NULL)
            return NULL;
        PyMemberDef *member =
            Py_TYPE(slot) == &PyMemberDescr_Type ? ((PyMemberDescrObject *)slot)->d_member : NULL;
        if (member == NULL || member->type != T_OBJECT_EX || (member->flags & READONLY)) {
            PyErr_Format(PyExc_TypeError, "%s of WaitContext has to be a slot", slots[i].name);
            Py_DECREF(slot);
            return NULL;
        }
        *slots[i].at = member->offset;
        Py_DECREF(slot);
    }
    Py_XSETREF(kind, (PyTypeObject *)Py_NewRef(type));
    Py_RETURN_NONE;
}

static inline PyObject **
slot_of(PyObject *ctx, Py_ssize_t at)
{
    return (PyObject **)((char *)ctx + at);
}

/* Read a small number from a slot; -1 if there is something else. */
static inline long
small(PyObject *ctx, Py_ssize_t at)
{
    PyObject *value = *slot_of(ctx, at);
    int overflow;
    if (value == NULL || !PyLong_CheckExact(value))
        return -1;
    long number = PyLong_AsLongAndOverflow(value, &overflow);
    return overflow != 0 || number < 0 || number == LONG_MAX ? -1 : number;
}

/* Write a number to a slot; 0, or -1 with an error set. */
static inline int
put(PyObject *ctx, Py_ssize_t at, long number)
{
    PyObject *value = PyLong_FromLong(number);
    if (value == NULL)
        return -1;
    Py_XSETREF(*slot_of(ctx, at), value);
    return 0;
}

static COLD int
call(PyObject *ctx, PyObject *method)
{
    PyObject *done = PyObject_CallMethodNoArgs(ctx, method);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Whether a job may be started in it: a plain one, open, and with no job. */
int
wait_ctx_is_free(PyObject *ctx)
{
    return Py_TYPE(ctx) == kind && *slot_of(ctx, at_closed) == Py_False && small(ctx, at_jobs) == 0;
}

/* One more job waits in it. */
int
wait_ctx_job_begins(PyObject *ctx)
{
    if (likely(Py_TYPE(ctx) == kind)) {
        long jobs = small(ctx, at_jobs);
        if (likely(jobs >= 0))
            return put(ctx, at_jobs, jobs + 1);
    }
    PyObject *one = PyLong_FromLong(1), *jobs = PyObject_GetAttr(ctx, names.jobs);
    PyObject *more = one && jobs ? PyNumber_InPlaceAdd(jobs, one) : NULL;
    int failed = more == NULL || PyObject_SetAttr(ctx, names.jobs, more) < 0;
    Py_XDECREF(one);
    Py_XDECREF(jobs);
    Py_XDECREF(more);
    return failed ? -1 : 0;
}

/* The reference's `_job_ended`. */
int
wait_ctx_job_ended(PyObject *ctx)
{
    if (likely(Py_TYPE(ctx) == kind)) {
        long jobs = small(ctx, at_jobs), generation = small(ctx, at_generation);
        PyObject *fired = *slot_of(ctx, at_fired);
        if (likely(jobs == 1 && generation >= 0 && fired != NULL && PyDict_CheckExact(fired) &&
                   PyDict_GET_SIZE(fired) == 0)) {
            if (put(ctx, at_generation, generation + 1) < 0)
                return -1;
            return put(ctx, at_jobs, 0) < 0 || put(ctx, at_wakers, 0) < 0 ? -1 : 0;
        }
    }
    return call(ctx, names.job_ended);
}

/* The reference's `_reset`: a new window begins. */
int
wait_ctx_reset(PyObject *ctx)
{
    if (unlikely(Py_TYPE(ctx) != kind))
        return call(ctx, names.reset);
    PyObject *added = *slot_of(ctx, at_added), *deleted = *slot_of(ctx, at_deleted);
    if (unlikely(added == NULL || !PyDict_CheckExact(added) || deleted == NULL ||
                 !PyList_CheckExact(deleted)))
        return call(ctx, names.reset);
    int failed = 0;
    Py_INCREF(deleted); /* what is let go of may run code */
    if (PyDict_GET_SIZE(added) != 0) {
        Py_INCREF(added);
        PyDict_Clear(added);
        Py_DECREF(added);
    }
    if (PyList_GET_SIZE(deleted) != 0)
        failed = PyList_SetSlice(deleted, 0, PY_SSIZE_T_MAX, NULL) < 0;
    Py_DECREF(deleted);
    return failed ? -1 : 0;
}
