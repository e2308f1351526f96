/* New fibres for a pool, and what all of them take.
 *
 * Rules:
 * - Whether a pool may have one more is decided by the reference (pausable._pool.JobPool.grow). Here is
 *   the plain case: nobody watches or waits, nothing was lost (`idle` is a plain list, then), jobs do
 *   not run on greenlet, and the pool is neither closed nor full.
 * - A fibre is entered in its pool when it has its memory: a start that fails leaves nothing.
 * - Making one may run other code (signal handlers, a collection, an allocator of the user's), which
 *   may start jobs: so the limit is looked at when that is over.
 */
#include "job.h"

static int
is_full(const Pool *pool)
{
    if (!is_set(pool->max_size))
        return 0;
    Py_ssize_t most = PyLong_Check(pool->max_size) ? PyLong_AsSsize_t(pool->max_size) : -1;
    if (most < 0) /* more than can be */
        PyErr_Clear();
    return most >= 0 && PyList_GET_SIZE(pool->fibres) >= most;
}

static int
is_plain(const Pool *pool)
{
    return pool->idle != NULL && PyList_CheckExact(pool->idle) && PyList_GET_SIZE(pool->idle) == 0 &&
           pool->fibres != NULL && PyList_CheckExact(pool->fibres) && !pool->closed &&
           hooks.notice != NULL && hooks.given_way == NULL && !is_full(pool);
}

/* Make an idle fibre with its memory, of the pool's size. */
static Fibre *
make(Pool *pool)
{
    PyObject *done = PyObject_CallNoArgs(hooks.notice);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    Fibre *fibre = (Fibre *)fibre_new((PyTypeObject *)hooks.fibre_type, NULL, NULL);
    if (fibre == NULL)
        return NULL;
    fibre->pool = (Pool *)Py_NewRef(pool);
    if (is_set(pool->stack_size_bytes))
        fibre->size_bytes = PyLong_AsSsize_t(pool->stack_size_bytes); /* JobPool has checked it */
    if (PyErr_Occurred() || fibre_make_stack(fibre) < 0) {
        Py_DECREF(fibre);
        return NULL;
    }
    fibre->state = ENDED; /* as after a call: idle */
    return fibre;
}

/* Make one more fibre: 1; 0: it is not for here; -1 with an exception set. */
int
pool_grow(Pool *pool, Fibre **fibre)
{
    *fibre = NULL;
    if (!is_plain(pool))
        return 0;
    Fibre *made = make(pool);
    if (made == NULL)
        return -1;
    if (unlikely(!is_plain(pool))) {
        Py_DECREF(made);
        return 0;
    }
    if (PyList_Append(pool->fibres, (PyObject *)made) < 0) {
        Py_DECREF(made);
        return -1;
    }
    *fibre = made;
    return 1;
}

/* new_fibre(pool) -> fibre: for whoever has looked at the limit. */
PyObject *
new_fibre(PyObject *Py_UNUSED(module), PyObject *arg)
{
    if (!PyObject_TypeCheck(arg, &Pool_Type) || hooks.notice == NULL) {
        PyErr_Format(PyExc_TypeError, "a fibre is made for a pool, not for %R", arg);
        return NULL;
    }
    Pool *pool = (Pool *)arg;
    Fibre *fibre = make(pool);
    if (fibre != NULL && (pool->fibres == NULL || !PyList_Check(pool->fibres) ||
                          PyList_Append(pool->fibres, (PyObject *)fibre) < 0)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a pool's fibres have to be a list");
        Py_CLEAR(fibre);
    }
    return (PyObject *)fibre;
}

/* stack_memory(fibres) -> (mapped, resident): in bytes, of those in the list that are native. */
PyObject *
stack_memory(PyObject *Py_UNUSED(module), PyObject *fibres)
{
    size_t mapped = 0, resident = 0;
    if (!PyList_Check(fibres)) {
        PyErr_Format(PyExc_TypeError, "stack_memory() takes a list of fibres, not %R", fibres);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(fibres); i++) {
        Fibre *fibre = (Fibre *)PyList_GET_ITEM(fibres, i);
        if (!PyObject_TypeCheck(fibre, &Fibre_Type) || fibre->base.c == NULL)
            continue;
        mapped += stack_mapped(&fibre->mem);
        resident += fibre_resident(fibre);
    }
    return Py_BuildValue("nn", (Py_ssize_t)mapped, (Py_ssize_t)resident);
}
