/* Holding a lock without pausing: the base of guarded.
 *
 * Rules:
 * - Pausing is blocked before the lock is taken, and until it has been released, whatever that raises.
 */
#include "blocks.h"

typedef struct {
    Block block;
    PyObject *lock;
} Guard;

/* End the block, and keep the exception that is set, if there is one; 0, or -1. */
static int
end_keeping_error(Guard *self)
{
    PyObject *type, *exc, *tb;
    PyErr_Fetch(&type, &exc, &tb);
    int failed = block_end(&self->block) < 0;
    if (failed) {
        Py_XDECREF(type);
        Py_XDECREF(exc);
        Py_XDECREF(tb);
        return -1;
    }
    PyErr_Restore(type, exc, tb);
    return 0;
}

static PyObject *
guard_enter(Guard *self, PyObject *Py_UNUSED(none))
{
    if (unlikely(self->lock == NULL)) {
        PyErr_SetString(PyExc_AttributeError, "this guard was never given its lock");
        return NULL;
    }
    if (unlikely(block_begin(&self->block) < 0))
        return NULL;
    PyObject *lock = Py_NewRef(self->lock);
    PyObject *entered = PyObject_CallMethodNoArgs(lock, names.enter);
    Py_DECREF(lock);
    if (unlikely(entered == NULL))
        end_keeping_error(self);
    return entered;
}

static PyObject *
guard_exit(Guard *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (unlikely(nargs != 3)) {
        PyErr_Format(PyExc_TypeError, "__exit__() takes 3 arguments (%zd given)", nargs);
        return NULL;
    }
    if (unlikely(self->lock == NULL))
        return guard_enter(self, NULL); /* which refuses */
    PyObject *all[] = {Py_NewRef(self->lock), args[0], args[1], args[2]};
    PyObject *left = PyObject_VectorcallMethod(names.exit, all, 4, NULL);
    Py_DECREF(all[0]);
    if (unlikely(end_keeping_error(self) < 0))
        Py_CLEAR(left);
    return left;
}

static int
guard_init(Guard *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"lock", NULL};
    PyObject *lock, *found;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:guarded", keywords, &lock))
        return -1;
    for (int i = 0; i < 2; i++) {
        if ((found = PyObject_GetAttr(lock, i == 0 ? names.enter : names.exit)) == NULL) {
            if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
                PyErr_Clear();
                PyErr_Format(PyExc_TypeError,
                             "lock has to be a lock or another context manager, not %R", lock);
            }
            return -1;
        }
        Py_DECREF(found);
    }
    Py_XSETREF(self->lock, Py_NewRef(lock));
    return 0;
}

static int
guard_traverse(Guard *self, visitproc visit, void *arg)
{
    Py_VISIT(self->lock);
    return block_traverse(&self->block, visit, arg);
}

static int
guard_clear(Guard *self)
{
    Py_CLEAR(self->lock);
    return block_clear(&self->block);
}

static void
guard_dealloc(Guard *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->lock);
    block_dealloc(&self->block);
}

static PyObject *
guard_reduce(Guard *self, PyObject *Py_UNUSED(none))
{
    return Py_BuildValue("O(O)", Py_TYPE(self), self->lock != NULL ? self->lock : Py_None);
}

static PyMethodDef guard_methods[] = {
    {"__reduce__", (PyCFunction)guard_reduce, METH_NOARGS, NULL},
    {"__enter__", (PyCFunction)guard_enter, METH_NOARGS, "Block pausing, and take the lock."},
    {"__exit__", (PyCFunction)(void (*)(void))guard_exit, METH_FASTCALL, "Release it, and unblock."},
    {NULL},
};

PyTypeObject Guard_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Guard",
    .tp_doc = "Guard(lock)\n--\n\nHolds a lock without pausing: the base of guarded.",
    .tp_basicsize = sizeof(Guard),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)guard_init,
    .tp_dealloc = (destructor)guard_dealloc,
    .tp_traverse = (traverseproc)guard_traverse,
    .tp_clear = (inquiry)guard_clear,
    .tp_methods = guard_methods,
};
