/* The part of pausable.JobPool that is C: where the idle fibres are.
 *
 * Rules:
 * - `idle` is a list, last in, first out, and read without asking. Whatever has to be noticed at the
 *   next start or end (jobs are watched, one was lost, somebody waits for a free fibre) is arranged
 *   by putting a subclass in its place (pausable._pool): then the way is by its methods.
 * - A thread borrows its default pool, which takes itself away before anything of it dies: callbacks of
 *   weak references to it may start jobs.
 */
#include "core.h"

static int
pool_traverse(Pool *self, visitproc visit, void *arg)
{
    Py_VISIT(self->idle);
    Py_VISIT(self->fibres);
    return 0;
}

static int
pool_clear(Pool *self)
{
    Py_CLEAR(self->idle);
    Py_CLEAR(self->fibres);
    Py_CLEAR(self->max_size);
    Py_CLEAR(self->stack_size_bytes);
    return 0;
}

static void
leave_thread(Pool *self)
{
    if (self->thread_of != NULL) {
        if (self->thread_of->pool == self)
            self->thread_of->pool = NULL;
        Py_CLEAR(self->thread_of);
    }
}

static void
pool_finalize(PyObject *self)
{
    leave_thread((Pool *)self);
}

static void
pool_dealloc(Pool *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    leave_thread(self);
    pool_clear(self);
    type->tp_free(self);
}

PyObject *
set_thread_pool(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Thread *thread = here();
    if (thread == NULL)
        return NULL;
    if (arg != Py_None && !PyObject_TypeCheck(arg, &Pool_Type)) {
        PyErr_Format(PyExc_TypeError, "a thread's pool has to be a pool or None, not %R", arg);
        return NULL;
    }
    if (thread->pool != NULL)
        leave_thread(thread->pool);
    if (arg != Py_None) {
        thread->pool = (Pool *)arg;
        thread->pool->thread_of = (Thread *)Py_NewRef(thread);
    }
    Py_RETURN_NONE;
}

static PyMemberDef pool_members[] = {
    {"idle", T_OBJECT_EX, offsetof(Pool, idle), 0, "The fibres that can be used at once."},
    {"thread", T_ULONG, offsetof(Pool, thread), 0, "The thread that it belongs to."},
    {"_fibres", T_OBJECT_EX, offsetof(Pool, fibres), 0, "All its fibres."},
    {"max_size", T_OBJECT_EX, offsetof(Pool, max_size), 0, "The most fibres, or None."},
    {"_stack_size_bytes", T_OBJECT_EX, offsetof(Pool, stack_size_bytes), 0, "Or None."},
    {"_closed", T_BOOL, offsetof(Pool, closed), 0, "It gives out no fibre any more."},
    {NULL},
};

PyTypeObject Pool_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Pool",
    .tp_doc = "Where the idle fibres are.",
    .tp_basicsize = sizeof(Pool),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)pool_dealloc,
    .tp_finalize = pool_finalize,
    .tp_traverse = (traverseproc)pool_traverse,
    .tp_clear = (inquiry)pool_clear,
    .tp_members = pool_members,
};
