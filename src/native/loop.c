/* The running asyncio loop, its hub, and what the core takes over from pausable.loops._asyncio.
 *
 * Rules:
 * - A new driver is made for the running task here; where anything is missing (no loop, no hub yet), the
 *   reference does it, which makes it, or says why not.
 * - Nothing here keeps a loop alive: the last hub is known by a weak reference.
 */
#include "drive.h"

#include <pthread.h>
#include <unistd.h>

asyncio_hooks in_asyncio;
drive_names drive_name;
Py_ssize_t turns;

/* -------------------------------------------------------------------------------------- the loop */

#if PY_VERSION_HEX >= 0x030C0000
static inline PyObject *
running_loop(void)
{
    return PyObject_CallNoArgs(in_asyncio.get_running_loop);
}
#else
/* On 3.11 asyncio asks the kernel for the process's number each time it is asked for the loop (it keeps
 * both in an object, new for each loop that begins to run, and a child of a fork has none). Here the
 * number is kept; that the object has them where this takes them to be is checked once. */
typedef struct {
    PyObject_HEAD
    PyObject *loop;
    pid_t pid;
} loop_holder;

static PyTypeObject *holder_type; /* when it was checked */
static pid_t this_pid;

static void
forget_pid(void)
{
    this_pid = 0;
}

static COLD PyObject *
running_loop_slowly(PyObject *holder)
{
    PyObject *loop = PyObject_CallNoArgs(in_asyncio.get_running_loop);
    if (loop == NULL || holder == NULL)
        return loop;
    static int forgets;
    if (!forgets && pthread_atfork(NULL, NULL, forget_pid) != 0)
        return loop;
    forgets = 1;
    if (Py_TYPE(holder)->tp_basicsize == sizeof(loop_holder) &&
        ((loop_holder *)holder)->loop == loop && ((loop_holder *)holder)->pid == getpid()) {
        holder_type = Py_TYPE(holder);
        this_pid = getpid();
    }
    return loop;
}

static inline PyObject *
running_loop(void)
{
    PyObject *kept = this_tstate()->dict, *holder = NULL;
    if (likely(kept != NULL))
        holder = PyDict_GetItemWithError(kept, drive_name.running_loop);
    if (likely(holder != NULL && Py_TYPE(holder) == holder_type &&
               ((loop_holder *)holder)->pid == this_pid && ((loop_holder *)holder)->loop != Py_None))
        return Py_NewRef(((loop_holder *)holder)->loop);
    if (PyErr_Occurred())
        return NULL;
    return running_loop_slowly(holder);
}
#endif

/* The loop's hub, which is its attribute. The last one is known: looking that up takes long. */
static inline PyObject *
hub_of(PyObject *loop)
{
    static PyObject *last; /* a weak reference */
    PyObject *hub = NULL;
#if PY_VERSION_HEX >= 0x030D0000
    if (likely(last != NULL) && PyWeakref_GetRef(last, &hub) < 0)
        return NULL;
#else
    if (likely(last != NULL && PyWeakref_GET_OBJECT(last) != Py_None))
        hub = Py_NewRef(PyWeakref_GET_OBJECT(last));
#endif
    if (likely(hub != NULL && ((Hub *)hub)->loop == loop))
        return hub;
    Py_XDECREF(hub);
    hub = PyObject_GetAttr(loop, drive_name.pausable_hub);
    if (hub != NULL && PyObject_TypeCheck(hub, &Hub_Type)) {
        PyObject *known = PyWeakref_NewRef(hub, NULL);
        if (known == NULL)
            PyErr_Clear();
        else
            Py_XSETREF(last, known);
        return hub;
    }
    Py_XDECREF(hub);
    return NULL;
}

Drive *
drive_new(void)
{
    PyObject *context = this_tstate()->context; /* the task's own */
    PyObject *loop = context != NULL ? running_loop() : NULL;
    PyObject *hub = loop != NULL ? hub_of(loop) : NULL;
    Py_XDECREF(loop);
    if (unlikely(hub == NULL)) {
        PyErr_Clear(); /* the reference makes what is not there, or says why not */
        return NULL;
    }
    Drive *self = (Drive *)drive_tp_new((PyTypeObject *)in_asyncio.drive_type, NULL, NULL);
    if (unlikely(self == NULL)) {
        Py_DECREF(hub);
        return NULL;
    }
    self->hub = hub;
    self->context = Py_NewRef(context);
    return self;
}

/* new_drive() -> driver for the running task. */
static PyObject *
new_drive(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    PyObject *self = (PyObject *)drive_new();
    if (unlikely(self == NULL && !PyErr_Occurred()))
        return PyObject_CallNoArgs(in_asyncio.new_drive);
    return self;
}

/* ------------------------------------------------------------------------------------- the binding */

/* Take over what pausable.loops._asyncio gives, all of it; return the builtin `new_drive`. */
PyObject *
bind_asyncio(PyObject *Py_UNUSED(module), PyObject *given)
{
    static const hook_place all[] = {
        {"cancelling", &in_asyncio.cancelling},
        {"coroutine_type", &in_asyncio.coroutine_type},
        {"current_tasks", &in_asyncio.current_tasks},
        {"discard", &in_asyncio.discard},
        {"done", &in_asyncio.done},
        {"drive_type", &in_asyncio.drive_type},
        {"future_type", &in_asyncio.future_type},
        {"get_loop", &in_asyncio.get_loop},
        {"get_running_loop", &in_asyncio.get_running_loop},
        {"new_drive", &in_asyncio.new_drive},
        {"nobody", &in_asyncio.nobody},
        {"task_type", &in_asyncio.task_type},
        {"turns", &in_asyncio.turns},
    };
    static const hook_place texts[] = {
        {"drive_on", &drive_name.drive_on},
        {"leave", &drive_name.leave},
        {"_fail", &drive_name.fail},
        {"_bound", &drive_name.bound},
        {"_in_turn", &drive_name.in_turn},
        {"raise_if_missed", &drive_name.raise_if_missed},
        {"cancel", &drive_name.cancel},
        {"cancelling", &drive_name.cancelling},
        {"close", &drive_name.close},
        {"throw", &drive_name.throw_},
        {"value", &drive_name.value},
        {"cr_await", &drive_name.cr_await},
        {"outcome", &drive_name.outcome},
        {"max_size", &drive_name.max_size},
        {"__asyncio_running_event_loop__", &drive_name.running_loop},
        {"_must_cancel", &drive_name.must_cancel},
        {"_pausable_hub", &drive_name.pausable_hub},
    };
    static PyMethodDef builtin = {"new_drive", new_drive, METH_NOARGS,
                                  "Return a driver for the running task."};
    if (intern_names(texts, sizeof texts / sizeof *texts) < 0 ||
        take_hooks(given, all, sizeof all / sizeof *all, 1) < 0)
        return NULL;
    if (!PyType_Check(in_asyncio.drive_type) ||
        !PyType_IsSubtype((PyTypeObject *)in_asyncio.drive_type, &Drive_Type)) {
        Py_CLEAR(in_asyncio.drive_type);
        PyErr_SetString(PyExc_TypeError, "drive_type has to be made from DriveFields");
        return NULL;
    }
    if (!PyDict_Check(in_asyncio.current_tasks)) {
        PyErr_SetString(PyExc_TypeError, "current_tasks has to be a dict");
        return NULL;
    }
    turns = PyLong_AsSsize_t(in_asyncio.turns);
    if (turns == -1 && PyErr_Occurred())
        return NULL;
    return PyCFunction_NewEx(&builtin, NULL, NULL);
}
