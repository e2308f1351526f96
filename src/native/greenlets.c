/* Greenlets of others in the same process.
 *
 * greenlet takes all stacks of a thread to be parts of one, in the order of their addresses: to switch
 * it copies the part between two addresses away. A stack of ours is elsewhere. So:
 *
 * - Greenlets that are made, used and ended between two pauses of a job harm nobody, if the job was
 *   entered from the thread's own stack. If from a greenlet whose stack is at lower addresses than
 *   the job's (not in the main thread, whose stack is above all), greenlet takes that for the inner.
 * - A job that is set aside inside another greenlet than the one that entered it would come back to
 *   memory that greenlet has used otherwise meanwhile. That is refused, at the pause.
 * - That a job switches to a greenlet outside of it cannot be noticed here. So new jobs run on greenlet
 *   as soon as it is in the process (pausable._mixed), unless PAUSABLE_BACKEND=native forbids that.
 */
#include "core.h"

PyObject *greenlet_getcurrent;
static PyObject *refused; /* (fibre) -> exception */

PyObject *
watch_greenlet(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *getcurrent, *refuse;
    if (!PyArg_ParseTuple(args, "OO:watch_greenlet", &getcurrent, &refuse))
        return NULL;
    Py_XSETREF(refused, Py_NewRef(refuse));
    Py_XSETREF(greenlet_getcurrent, Py_NewRef(getcurrent));
    Py_RETURN_NONE;
}

/* greenlet's C interface is a table of functions; this is getcurrent's place in it. */
#define API_GETCURRENT 4

PyObject *
current_greenlet(void)
{
    static PyObject *(*direct)(void);
    if (likely(direct != NULL))
        return direct();
    PyObject *now = PyObject_CallNoArgs(greenlet_getcurrent);
    if (now != NULL && now != Py_None) { /* it is imported, all of it */
        void **api = PyCapsule_Import("greenlet._C_API", 0);
        if (api != NULL)
            direct = (PyObject * (*)(void)) api[API_GETCURRENT];
        else
            PyErr_Clear();
    }
    return now;
}

int
note_greenlet(Fibre *fibre)
{
    PyObject *now = current_greenlet();
    if (now == NULL)
        return -1;
    Py_XSETREF(fibre->entered, now);
    return 0;
}

int
check_greenlet(Fibre *fibre)
{
    PyObject *now = current_greenlet(), *parent;
    int same;
    if (now == NULL)
        return -1;
    if (is_set(fibre->entered) || now == Py_None)
        same = now == fibre->entered || now == Py_None;
    else { /* greenlet came when the call was running: then it was entered by the thread's own */
        parent = PyObject_GetAttrString(now, "parent");
        if (parent == NULL) {
            Py_DECREF(now);
            return -1;
        }
        same = parent == Py_None;
        Py_DECREF(parent);
    }
    Py_DECREF(now);
    if (same)
        return 0;
    PyObject *exc = PyObject_CallOneArg(refused, (PyObject *)fibre);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
    return -1;
}
