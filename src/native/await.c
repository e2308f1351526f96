/* What wait_for does where the job's driver awaits it: futures of its loop, and coroutines.
 *
 * Rules:
 * - The reference is pausable._wait_for.wait_for, with Driver.wait_for and AsyncioDrive.can_await.
 *   All else is left to it, also to refuse: it is not called from here, for a pause would have C below
 *   it then, which takes stack, and which debug mode warns of.
 * - `awaited` is borrowed from the caller, as the argument of any builtin: it holds it meanwhile.
 */
#include "drive.h"

PyObject *not_here;

/* Whether a driver is to await it; only for a future that is not complete that needs a pause. */
static int
can_await(Drive *drive, PyObject *awaited)
{
    if (is_coroutine(awaited))
        return 1;
    if (!is_future(awaited) || drive->hub == NULL || !PyObject_TypeCheck(drive->hub, &Hub_Type))
        return 0;
    PyObject *loop = PyObject_CallOneArg(in_asyncio.get_loop, awaited);
    Py_XDECREF(loop); /* its future holds it */
    PyObject *done = NULL;
    if (likely(loop != NULL && loop == ((Hub *)drive->hub)->loop))
        done = PyObject_CallOneArg(in_asyncio.done, awaited);
    Py_XDECREF(done);
    if (unlikely(PyErr_Occurred()))
        PyErr_Clear(); /* the reference meets it too */
    return done == Py_False;
}

/* The job does not wait for it any more; an exception is set. */
static COLD void
take_back(Drive *drive)
{
    PyObject *exc = take_error();
    PyObject *awaited = drive->awaited;
    drive->awaited = NULL;
    if (is_set(awaited)) { /* the driver has not begun with it */
        PyObject *done = PyObject_CallOneArg(in_asyncio.discard, awaited);
        if (done == NULL) {
            PyObject *other = take_error();
            PyException_SetContext(other, exc);
            exc = other;
        }
        Py_XDECREF(done);
    }
    Py_XDECREF(awaited);
    Py_CLEAR(drive->exc);
    give_error(exc);
}

static PyObject *
await_by(Drive *drive, PyObject *awaited)
{
    Py_XSETREF(drive->awaited, Py_NewRef(awaited));
    drive->answered = 0;
    while (!drive->answered) { /* a resume is only a hint */
        PyObject *paused = native_pause(NULL, NULL, 0);
        Py_XDECREF(paused);
        if (unlikely(paused == NULL || (paused == Py_False && PyErr_CheckSignals() < 0))) {
            take_back(drive);
            return NULL;
        }
    }
    if (unlikely(is_set(drive->exc))) {
        PyObject *exc = drive->exc;
        drive->exc = NULL;
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
        return NULL;
    }
    PyObject *value = drive->value;
    drive->value = NULL;
    return value != NULL ? value : Py_NewRef(Py_None);
}

/* await_here(awaited) -> its result; or NOT_HERE: it is for the reference to wait, or to refuse. */
PyObject *
await_here(PyObject *Py_UNUSED(module), PyObject *awaited)
{
    PyObject *fibre = native_current_fibre(NULL, NULL, 0), *value = NULL;
    if (unlikely(fibre == NULL))
        return NULL;
    PyObject *driver = NULL;
    /* Not where pausing is blocked; `alert` is set where the job runs a loop of its own. */
    if (likely((PyObject *)Py_TYPE(fibre) == hooks.fibre_type && !((Fibre *)fibre)->alert &&
               ((Fibre *)fibre)->blocks <= 0))
        driver = ((Fibre *)fibre)->driver;
    Py_DECREF(fibre); /* it runs */
    if (unlikely(driver == NULL || !PyObject_TypeCheck(driver, &Drive_Type) ||
                 !can_await((Drive *)driver, awaited)))
        return Py_NewRef(not_here);
    Py_INCREF(driver);
    value = await_by((Drive *)driver, awaited);
    Py_DECREF(driver);
    return value;
}
