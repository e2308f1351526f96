/* Blocking pauses: the counter of a job, and what counts in it.
 *
 * Rules:
 * - The counter is the fibre's, and is 0 when its next job begins.
 * - It is not part of `alert` and `notable` here, as it is on greenlet: a pause asks for it first.
 * - Who leaves a block undoes it for the job that entered, if that has not ended: a generator may
 *   be closed by another one, and a fibre may have another job by then.
 */
#include "blocks.h"

void
fibre_block(Fibre *fibre, Py_ssize_t by)
{
    Py_ssize_t blocks;
    if (__builtin_add_overflow(fibre->blocks, by, &blocks))
        blocks = by > 0 ? PY_SSIZE_T_MAX : 0;
    fibre->blocks = blocks > 0 ? blocks : 0;
}

/* JobFibre.block(by) */
PyObject *
fibre_block_by(PyObject *self, PyObject *by)
{
    Py_ssize_t count = PyNumber_AsSsize_t(by, PyExc_OverflowError);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    fibre_block((Fibre *)self, count);
    Py_RETURN_NONE;
}

/* Block, or unblock, whatever kind of fibre that is. */
static inline int
block_on(PyObject *fibre, Py_ssize_t by)
{
    if (likely(Py_TYPE(fibre) == (PyTypeObject *)hooks.fibre_type)) {
        fibre_block((Fibre *)fibre, by);
        return 0;
    }
    PyObject *done = PyObject_CallMethod(fibre, "block", "n", by);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Count on the running job, if there is one: what is in ASYNC_block_pause and its counterpart. */
static PyObject *
block_running(PyObject *name, Py_ssize_t nargs, Py_ssize_t by)
{
    Thread *thread = here();
    if (unlikely(thread == NULL))
        return NULL;
    if (unlikely(nargs != 0)) {
        PyErr_Format(PyExc_TypeError, "%U() takes no arguments (%zd given)", name, nargs);
        return NULL;
    }
    Fibre *fibre = running(thread);
    if (likely(fibre != NULL))
        fibre_block(fibre, by);
    else if (unlikely(hooks.given_way != NULL)) {
        PyObject *other = PyObject_CallNoArgs(references.current_fibre);
        int failed = other == NULL || (other != Py_None && block_on(other, by) < 0);
        Py_XDECREF(other);
        if (failed)
            return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
native_block_pause(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    return block_running(names.block_pause, nargs, +1);
}

PyObject *
native_unblock_pause(PyObject *Py_UNUSED(module), PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    return block_running(names.unblock_pause, nargs, -1);
}

/* ------------------------------------------------------------------- the base of pause_blocked */

static int
make_room(Block *self)
{
    if (self->room == 0) {
        self->entries = &self->first;
        self->room = 1;
    }
    else if (self->count == self->room) {
        entry *more = PyMem_Malloc(2 * (size_t)self->room * sizeof *more);
        if (more == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(more, self->entries, (size_t)self->count * sizeof *more);
        if (self->entries != &self->first)
            PyMem_Free(self->entries);
        self->entries = more;
        self->room *= 2;
    }
    return 0;
}

/* Return the job that runs, a new reference, or NULL; *failed tells whether it is an error. */
static inline PyObject *
running_job(int *failed)
{
    Thread *thread = here();
    *failed = thread == NULL;
    if (unlikely(thread == NULL))
        return NULL;
    Fibre *fibre = running(thread);
    if (likely(fibre != NULL))
        return Py_XNewRef(fibre_job(fibre));
    if (likely(hooks.given_way == NULL))
        return NULL;
    PyObject *job = PyObject_CallNoArgs(references.current_job);
    *failed = job == NULL;
    if (job == Py_None)
        Py_CLEAR(job);
    return job;
}

/* Block, or unblock, a job that has not ended. */
static inline int
block_job(PyObject *job, Py_ssize_t by)
{
    PyObject *fibre = is_job(job) ? ((Job *)job)->fibre : NULL;
    if (!is_set(fibre))
        return 0;
    Py_INCREF(fibre);
    int failed = block_on(fibre, by);
    Py_DECREF(fibre);
    return failed;
}

/* Take out the newest entry of this thread; there is one at least. Return its job, or NULL. */
static PyObject *
take_entry(Block *self)
{
    unsigned long thread = PyThread_get_thread_ident();
    Py_ssize_t i = self->count - 1;
    while (i >= 0 && self->entries[i].thread != thread)
        i--;
    if (i < 0) /* a generator that is closed in another thread */
        i = self->count - 1;
    PyObject *job = self->entries[i].job;
    self->count--;
    memmove(&self->entries[i], &self->entries[i + 1],
            (size_t)(self->count - i) * sizeof *self->entries);
    return job;
}

int
block_begin(Block *self)
{
    int failed;
    PyObject *job = running_job(&failed);
    if (unlikely(failed || make_room(self) < 0)) {
        Py_XDECREF(job);
        return -1;
    }
    /* Noted first: blocking a job on greenlet runs Python code, and others may enter meanwhile. */
    self->entries[self->count++] = (entry){PyThread_get_thread_ident(), job};
    if (likely(job == NULL || block_job(job, +1) == 0))
        return 0;
    if (self->count > 0)
        Py_XDECREF(take_entry(self));
    return -1;
}

int
block_end(Block *self)
{
    if (unlikely(self->count == 0)) {
        PyErr_SetString(PyExc_IndexError, "pop from empty list");
        return -1;
    }
    PyObject *job = take_entry(self);
    int failed = job != NULL && block_job(job, -1) < 0;
    Py_XDECREF(job);
    return failed ? -1 : 0;
}

static PyObject *
block_enter(Block *self, PyObject *Py_UNUSED(none))
{
    return block_begin(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
block_exit(Block *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return block_end(self) < 0 ? NULL : Py_NewRef(Py_None);
}

int
block_clear(Block *self)
{
    while (self->count > 0) {
        PyObject *job = self->entries[--self->count].job;
        Py_XDECREF(job);
    }
    return 0;
}

static int
block_init(Block *self, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments", Py_TYPE(self)->tp_name);
        return -1;
    }
    return block_clear(self);
}

int
block_traverse(Block *self, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        Py_VISIT(self->entries[i].job);
    return 0;
}

void
block_dealloc(Block *self)
{
    PyObject_GC_UnTrack(self);
    block_clear(self);
    if (self->room > 1)
        PyMem_Free(self->entries);
    Py_TYPE(self)->tp_free(self);
}

/* A copy has not been entered. */
static PyObject *
block_reduce(Block *self, PyObject *Py_UNUSED(none))
{
    return Py_BuildValue("O()", Py_TYPE(self));
}

static PyMethodDef block_methods[] = {
    {"__reduce__", (PyCFunction)block_reduce, METH_NOARGS, NULL},
    {"__enter__", (PyCFunction)block_enter, METH_NOARGS, "Block pausing of the running job."},
    {"__exit__", (PyCFunction)(void (*)(void))block_exit, METH_FASTCALL, "Undo that."},
    {NULL},
};

PyTypeObject Block_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Block",
    .tp_doc = "Block()\n--\n\nKeeps jobs from pausing: the base of pause_blocked.",
    .tp_basicsize = sizeof(Block),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)block_init,
    .tp_dealloc = (destructor)block_dealloc,
    .tp_traverse = (traverseproc)block_traverse,
    .tp_clear = (inquiry)block_clear,
    .tp_methods = block_methods,
};
