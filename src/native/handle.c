/* The handle of a job: the fields of pausable.Job, and what happens when the last one lets go of it.
 *
 * Rules:
 * - The type is made at import as a subclass of the reference in Python, which has all methods that
 *   need not be fast; so it adds fields, and what builtins.c lists.
 * - A fibre borrows its job. When the job dies while it is paused, its fibre
 *   is told (`lost`), whoever let go of it and in whatever thread: by the finalizer if a collection
 *   found it, else when it is freed.
 * - Freed handles are kept for the next job, with their reference to the type: making one is a good
 *   part of what a start costs.
 * - So is telling the garbage collector of it. That is done when the handle holds what may lead back to
 *   it: an outcome that is a container, an exception, a wait context. A fibre does not: while there is a
 *   call on it, it holds itself, and a collection finds neither of the two to be garbage.
 */
#include "job.h"

#define KEPT_HANDLES 256

PyTypeObject *Job_Type;

static Job *kept[KEPT_HANDLES];
static int kept_count;

Job *
job_new(void)
{
    Job *self;
    if (likely(kept_count > 0)) {
        self = kept[--kept_count];
        _Py_NewReference((PyObject *)self);
    }
    else {
        self = PyObject_GC_New(Job, Job_Type);
        if (self == NULL)
            return NULL;
        memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    }
    return self;
}

void
job_track(Job *self)
{
    if (!PyObject_GC_IsTracked((PyObject *)self))
        PyObject_GC_Track(self);
}

static PyObject *
job_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (type != Job_Type) {
        PyErr_SetString(PyExc_TypeError, "Job is made by start() and cannot be a base class");
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Job() takes no arguments; jobs are made by start()");
        return NULL;
    }
    Job *self = job_new();
    if (self != NULL)
        job_track(self);
    return (PyObject *)self;
}

/* Tell the fibre of a paused job that nobody can reach the job any more. */
static COLD void
forsake(Fibre *fibre)
{
    PyObject *type, *exc, *tb;
    fibre->weak_job = NULL;
    PyErr_Fetch(&type, &exc, &tb);
    Py_INCREF(fibre);
    PyObject *done = PyObject_CallMethod((PyObject *)fibre, "_on_lost", "O", Py_None);
    if (done == NULL)
        PyErr_WriteUnraisable((PyObject *)fibre);
    Py_XDECREF(done);
    Py_DECREF(fibre);
    PyErr_Restore(type, exc, tb);
}

static inline void
forsake_if_paused(Job *self)
{
    Fibre *fibre = (Fibre *)self->fibre;
    if (unlikely(is_set(self->fibre) && PyObject_TypeCheck(fibre, &Fibre_Type) &&
                 fibre->weak_job == self))
        forsake(fibre);
}

/* A collection found it. Its fibre keeps the handle, for another finalizer may bring it back: whoever has
 * it then must not have that of another job some day. */
static void
job_finalize(PyObject *self)
{
    Job *job = (Job *)self;
    Fibre *fibre = (Fibre *)job->fibre;
    if (is_set(job->fibre) && PyObject_TypeCheck(fibre, &Fibre_Type) && fibre->weak_job == job &&
        fibre->state == PAUSED)
        Py_XSETREF(fibre->job, (Job *)Py_NewRef(job));
    forsake_if_paused(job);
}

static int
job_traverse(Job *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->fibre);
    Py_VISIT(self->value);
    Py_VISIT(self->exc);
    Py_VISIT(self->traceback);
    Py_VISIT(self->wait_ctx);
    return 0;
}

static int
job_clear(Job *self)
{
    forsake_if_paused(self); /* a handle that was kept and used again is finalized only once */
    Py_CLEAR(self->fibre);
    Py_CLEAR(self->value);
    Py_CLEAR(self->exc);
    Py_CLEAR(self->traceback);
    Py_CLEAR(self->wait_ctx);
    return 0;
}

static void
job_free(Job *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (unlikely(self->weakrefs != NULL)) {
        forsake_if_paused(self); /* first: their callbacks may ask the fibre for its job */
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    job_clear(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->full_name);
    if (likely(kept_count < KEPT_HANDLES && !PyObject_GC_IsFinalized((PyObject *)self))) {
        kept[kept_count++] = self;
        return;
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static void
job_dealloc(Job *self)
{
    if (likely(!PyObject_GC_IsTracked((PyObject *)self))) {
        job_free(self);
        return;
    }
    PyObject_GC_UnTrack(self);
    /* What it holds may hold another job, and so on: such a chain must not recurse. */
    Py_TRASHCAN_BEGIN(self, job_dealloc)
    job_free(self);
    Py_TRASHCAN_END
}

static PyMemberDef job_members[] = {
    {"_fibre", T_OBJECT_EX, offsetof(Job, fibre), 0, NULL},
    {"_name", T_OBJECT_EX, offsetof(Job, name), 0, NULL},
    {"_full_name", T_OBJECT_EX, offsetof(Job, full_name), 0, NULL},
    {"_value", T_OBJECT, offsetof(Job, value), 0, NULL},
    {"_exc", T_OBJECT, offsetof(Job, exc), 0, NULL},
    {"_traceback", T_OBJECT, offsetof(Job, traceback), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Job, weakrefs), READONLY, NULL},
    {NULL},
};

static PyObject *
get_wait_ctx(Job *self, void *Py_UNUSED(closure))
{
    if (self->wait_ctx == NULL)
        PyErr_SetString(PyExc_AttributeError, "_wait_ctx");
    return Py_XNewRef(self->wait_ctx);
}

static int
set_wait_ctx(Job *self, PyObject *value, void *Py_UNUSED(closure))
{
    job_track(self); /* its callback may hold the job */
    Py_XSETREF(self->wait_ctx, Py_XNewRef(value));
    return 0;
}

static PyGetSetDef job_getset[] = {
    {"_wait_ctx", (getter)get_wait_ctx, (setter)set_wait_ctx, NULL, NULL},
    {NULL},
};

/* Make pausable.Job from the reference in Python, which becomes its base. */
PyObject *
make_job_type(PyObject *module, PyObject *reference)
{
    static PyType_Slot slots[] = {
        {Py_tp_new, job_tp_new},
        {Py_tp_dealloc, job_dealloc},
        {Py_tp_finalize, job_finalize},
        {Py_tp_traverse, job_traverse},
        {Py_tp_clear, job_clear},
        {Py_tp_members, job_members},
        {Py_tp_getset, job_getset},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "pausable._job.Job",
        .basicsize = sizeof(Job),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
    };
    if (Job_Type != NULL)
        return Py_NewRef(Job_Type);
    if (!PyType_Check(reference)) {
        PyErr_Format(PyExc_TypeError, "the reference has to be a class, not %R", reference);
        return NULL;
    }
    PyObject *bases = PyTuple_Pack(1, reference);
    if (bases == NULL)
        return NULL;
    Job_Type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, bases);
    Py_DECREF(bases);
    if (Job_Type == NULL)
        return NULL;
    PyObject *doc = PyObject_GetAttrString(reference, "__doc__");
    PyObject *done = NULL;
    if (doc != NULL && PyObject_SetAttrString((PyObject *)Job_Type, "__doc__", doc) == 0)
        done = take_over(module, (PyObject *)Job_Type);
    Py_XDECREF(doc);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    return Py_NewRef(Job_Type);
}
