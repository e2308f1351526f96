/* Drivers of jobs in asyncio tasks, and what those of one loop share.
 *
 * Rules:
 * - The types here have the fields that pausable.loops._asyncio_fields names; all methods but
 *   `until_done` are those of the classes in Python that are made from them.
 * - A driver is counted by its hub from `drive_count` to `drive_leave` (or to the end of `drive_on`,
 *   in Python), whatever happens in between; `counted` tells whether it is.
 */
#include "drive.h"

/* ---------------------------------------------------------------------------------------- the hub */

static int
hub_traverse(Hub *self, visitproc visit, void *arg)
{
    Py_VISIT(self->loop);
    return 0;
}

static int
hub_clear(Hub *self)
{
    Py_CLEAR(self->loop);
    return 0;
}

static void
hub_dealloc(Hub *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    hub_clear(self);
    type->tp_free(self);
}

static PyMemberDef hub_members[] = {
    {"driven", T_PYSSIZET, offsetof(Hub, driven), 0, "How many jobs are paused on this loop."},
    {"loop", T_OBJECT_EX, offsetof(Hub, loop), 0, "The loop."},
    {NULL},
};

PyTypeObject Hub_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.HubFields",
    .tp_doc = "What is looked at for each await.",
    .tp_basicsize = sizeof(Hub),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)hub_dealloc,
    .tp_traverse = (traverseproc)hub_traverse,
    .tp_clear = (inquiry)hub_clear,
    .tp_members = hub_members,
};

/* ------------------------------------------------------------------------------------- the driver */

/* Note which task it is, and how often that is being cancelled already. */
static int
note_task(Drive *drive, PyObject *loop)
{
    PyObject *task = PyDict_GetItemWithError(in_asyncio.current_tasks, loop);
    if (unlikely(task == NULL))
        return PyErr_Occurred() ? -1 : 0;
    Py_XSETREF(drive->task, PyWeakref_NewRef(task, NULL));
    if (unlikely(drive->task == NULL))
        return -1;
    PyObject *count = likely((PyObject *)Py_TYPE(task) == in_asyncio.task_type)
                          ? PyObject_CallOneArg(in_asyncio.cancelling, task)
                          : PyObject_CallMethodNoArgs(task, drive_name.cancelling);
    if (unlikely(count == NULL))
        return -1;
    drive->cancelling = PyLong_AsSsize_t(count);
    Py_DECREF(count);
    if (likely(drive->cancelling == 0))
        return 0;
    if (drive->cancelling == -1 && PyErr_Occurred())
        return -1;
    /* A cancellation that was not raised yet will be raised in here. */
    PyObject *must = PyObject_GetAttr(task, drive_name.must_cancel);
    if (must == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int truth = PyObject_IsTrue(must);
    Py_DECREF(must);
    drive->cancelling -= truth > 0;
    return truth < 0 ? -1 : 0;
}

static inline int
is_hub(PyObject *p)
{
    return p != NULL && PyObject_TypeCheck(p, &Hub_Type) && ((Hub *)p)->loop != NULL;
}

int
drive_count(Drive *drive)
{
    if (unlikely(!is_hub(drive->hub))) {
        PyErr_SetString(PyExc_TypeError, "an asyncio driver's hub has to be an AsyncioHub");
        return -1;
    }
    if (note_task(drive, ((Hub *)drive->hub)->loop) < 0)
        return -1;
    drive->counted = 1;
    ((Hub *)drive->hub)->driven++;
    return 0;
}

/* `drive_on`'s finally. */
int
drive_leave(Drive *drive, Job *job, Fibre *fibre)
{
    if (!drive->counted)
        return 0;
    drive->counted = 0;
    if (likely(is_hub(drive->hub)))
        ((Hub *)drive->hub)->driven--;
    if (likely(!is_set(job->fibre) && !is_set(drive->ctx) && !is_set(drive->cancellation) &&
               !drive->interrupted && !is_set(drive->deadline)))
        return 0;
    PyObject *exc = PyErr_Occurred() ? take_error() : NULL;
    PyObject *done = PyObject_CallMethodObjArgs((PyObject *)drive, drive_name.leave, job, fibre, NULL);
    if (done != NULL) {
        Py_DECREF(done);
        if (exc != NULL)
            give_error(exc);
        return 0;
    }
    if (exc != NULL) { /* it was being handled */
        PyObject *other = take_error();
        PyException_SetContext(other, exc);
        give_error(other);
    }
    return -1;
}

/* until_done(job, fibre) -> awaitable: resume a paused job until it has ended. */
static PyObject *
until_done(Drive *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !is_job(args[0])) {
        PyErr_SetString(PyExc_TypeError, "until_done(job, fibre)");
        return NULL;
    }
    /* With something rare from the first pause on, there is no need for an Until. */
    if (unlikely(!until_can_await(self, (Fibre *)args[1])))
        return PyObject_CallMethodObjArgs((PyObject *)self, drive_name.drive_on, args[0], args[1],
                                          NULL);
    return until_new(self, (Job *)args[0], (Fibre *)args[1]);
}

PyObject *
drive_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Drive *self = (Drive *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->waiter = Py_XNewRef(in_asyncio.nobody);
    return (PyObject *)self;
}

static PyObject *
drive_get_task(Drive *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(self->task != NULL ? self->task : in_asyncio.nobody);
}

static int
drive_set_task(Drive *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(self->task, Py_XNewRef(value));
    return 0;
}

/* The fields that hold objects. */
#define EACH_OBJECT(X)                                                                             \
    X(context) X(hub) X(awaited) X(value) X(exc) X(ctx) X(cancellation) X(patience) X(watch)       \
    X(deadline) X(late) X(shield) X(task) X(waiter)

static int
drive_traverse(Drive *self, visitproc visit, void *arg)
{
#define VISIT(field) Py_VISIT(self->field);
    EACH_OBJECT(VISIT)
    return 0;
}

static int
drive_clear(Drive *self)
{
#define CLEAR(field) Py_CLEAR(self->field);
    EACH_OBJECT(CLEAR)
    return 0;
}

static void
drive_dealloc(Drive *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    drive_clear(self);
    type->tp_free(self);
}

static PyMethodDef drive_methods[] = {
    {"until_done", (PyCFunction)(void (*)(void))until_done, METH_FASTCALL,
     "Resume a paused job until it has ended."},
    {NULL},
};

#define OBJECT(name, field) {name, T_OBJECT, offsetof(Drive, field), 0, NULL}
#define FLAG(name, field) {name, T_BOOL, offsetof(Drive, field), 0, NULL}

static PyMemberDef drive_members[] = {
    OBJECT("context", context), OBJECT("hub", hub), OBJECT("awaited", awaited),
    OBJECT("value", value), OBJECT("exc", exc), OBJECT("ctx", ctx),
    OBJECT("cancellation", cancellation), OBJECT("_patience", patience), OBJECT("_watch", watch),
    OBJECT("_deadline", deadline), OBJECT("_late", late), OBJECT("_shield", shield),
    OBJECT("_waiter", waiter),
    FLAG("answered", answered), FLAG("called", called), FLAG("counted", counted),
    FLAG("_queued", queued), FLAG("_awaiting", awaiting), FLAG("_interrupted", interrupted),
    {"_cancelling", T_PYSSIZET, offsetof(Drive, cancelling), 0, NULL},
    {NULL},
};

static PyGetSetDef drive_getset[] = {
    {"_task", (getter)drive_get_task, (setter)drive_set_task, "A weak reference.", NULL},
    {NULL},
};

PyTypeObject Drive_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.DriveFields",
    .tp_doc = "What resumes one job in an asyncio task.",
    .tp_basicsize = sizeof(Drive),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = drive_tp_new,
    .tp_dealloc = (destructor)drive_dealloc,
    .tp_traverse = (traverseproc)drive_traverse,
    .tp_clear = (inquiry)drive_clear,
    .tp_methods = drive_methods,
    .tp_members = drive_members,
    .tp_getset = drive_getset,
};
