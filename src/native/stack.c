/* Stacks as Python sees them, and what runs at the bottom of ours.
 *
 * Rules:
 * - A fibre serves one call after another. Between two calls its stack holds no reference and no
 *   interpreter state, so its memory can be given back just so, by any thread.
 * - `state` is ENDED before anything of the call is let go of: that may run code (a `__del__`) on
 *   this very stack, which is in no job any more.
 * - What a call raises is taken out of the thread state on the fibre and kept in `exc`: nothing
 *   propagates from one stack to another.
 */
#include "core.h"

SWITCH_DEFINE_BEGIN

#define INLINE_ARGS 8

PyObject *FibreError;

HIDDEN void pausable_stack_main(Fibre *self) __attribute__((noreturn, used));

/* ------------------------------------------------------------------------------ running a call */

static inline void
take_outcome(Fibre *self, PyObject *value)
{
    PyObject *exc = unlikely(value == NULL) ? take_error() : NULL;
    self->state = ENDED;
    Py_XSETREF(self->value, value);
    Py_XSETREF(self->exc, exc);
}

static __attribute__((noinline)) void
call_with_tuple(Fibre *self)
{
    PyObject *fn = self->fn, *args = self->args, *kwargs = self->kwargs;
    self->fn = self->args = self->kwargs = NULL;
    take_outcome(self, PyObject_Call(fn, args, kwargs));
    Py_DECREF(fn);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
}

/* The arguments are on the starter's stack, which goes on at the first pause: they are copied. */
static __attribute__((noinline)) void
call_with_vector(Fibre *self)
{
    PyObject *few[1 + INLINE_ARGS], **args = few, *fn = self->fn, *names = self->kwargs;
    Py_ssize_t positional = self->nargs, all = positional;
    self->fn = self->kwargs = NULL;
    if (names != NULL)
        all += PyTuple_GET_SIZE(names);
    if (unlikely(all > INLINE_ARGS))
        args = PyMem_New(PyObject *, 1 + all);
    if (likely(args != NULL)) {
        args[0] = NULL; /* may be written to by what is called: PY_VECTORCALL_ARGUMENTS_OFFSET */
        for (Py_ssize_t i = 0; i < all; i++)
            args[1 + i] = Py_NewRef(self->vector[i]);
        self->vector = NULL;
        size_t nargsf = (size_t)positional | PY_VECTORCALL_ARGUMENTS_OFFSET;
        take_outcome(self, likely(PyFunction_Check(fn)) /* as below, without asking how */
                               ? ((PyFunctionObject *)fn)->vectorcall(fn, args + 1, nargsf, names)
                               : PyObject_Vectorcall(fn, args + 1, nargsf, names));
        for (Py_ssize_t i = 0; i < all; i++)
            Py_DECREF(args[1 + i]);
        if (unlikely(args != few))
            PyMem_Free(args);
    }
    else
        take_outcome(self, PyErr_NoMemory());
    Py_DECREF(fn);
    Py_XDECREF(names);
}

void
pausable_stack_main(Fibre *self)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    for (;;) {
        if (self->args != NULL)
            call_with_tuple(self);
        else
            call_with_vector(self);

        Stack *to = resumer_stack(self->resumer);
        if (to == NULL || to->c == NULL || to->thread != self->base.thread)
            Py_FatalError("pausable: a call ended on a fibre that nobody has entered");
        self->active = 0;
        self->base.thread->ended = self;
        stack_leave(self->base.thread, to, 1);
    }
}

/* ------------------------------------------------------------------------------------ switching */

Stack *
resumer_stack_slowly(PyObject *resumer)
{
    if (resumer == NULL)
        return NULL;
    if (PyObject_TypeCheck(resumer, &Stack_Type))
        return (Stack *)resumer;
    PyObject *stack = PyObject_GetAttrString(resumer, "stack");
    if (stack == NULL || !PyObject_TypeCheck(stack, &Stack_Type)) {
        PyErr_Clear();
        Py_XDECREF(stack);
        return NULL;
    }
    Py_DECREF(stack); /* the stand-in holds it */
    return (Stack *)stack;
}

/* Check that `to` is set aside in this thread, and enter it. */
int
stack_switch_checked(Stack *to)
{
    Thread *thread = here();
    if (thread == NULL)
        return -1;
    if (to->thread != thread) {
        PyErr_SetString(FibreError, "this stack belongs to another thread, or to one that has ended");
        return -1;
    }
    if (to == thread->current || to->c == NULL ||
        (PyObject_TypeCheck(to, &Fibre_Type) && !((Fibre *)to)->active)) {
        PyErr_SetString(FibreError, to == thread->current ? "this stack is running already"
                                                          : "there is no call on this stack");
        return -1;
    }
    Py_INCREF(to);
    stack_enter(thread, to);
    Py_DECREF(to);
    return 0;
}

static PyObject *
stack_switch(Stack *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs == 0) {
        if (stack_switch_checked(self) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    if (nargs != 3 || !PyObject_TypeCheck(self, &Fibre_Type) || !PyTuple_Check(args[1]) ||
        !(args[2] == Py_None || PyDict_Check(args[2]))) {
        PyErr_SetString(PyExc_TypeError, "switch() or, to an idle fibre, switch(fn, args, kwargs)");
        return NULL;
    }
    Fibre *fibre = (Fibre *)self;
    Thread *thread = here();
    if (thread == NULL)
        return NULL;
    if (self->thread != thread || fibre->active) {
        PyErr_SetString(FibreError, fibre->active ? "there is a call on this stack"
                                                  : "this stack belongs to another thread");
        return NULL;
    }
    if (resumer_stack(fibre->resumer) != thread->current) {
        PyErr_SetString(FibreError, "resumer has to be the stack that is running");
        return NULL;
    }
    if (fibre_make_stack(fibre) < 0)
        return NULL;
    fibre->fn = Py_NewRef(args[0]);
    fibre->args = Py_NewRef(args[1]);
    fibre->kwargs = args[2] == Py_None ? NULL : Py_NewRef(args[2]);
    fibre_begin(thread, fibre);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------ inspecting */

/* Return the innermost frame of a stack that is set aside, or None.
 *
 * There is no public function for that, but one for the frame of a thread state. Collections are
 * put off meanwhile: their finalizers must not run on top of that stack's frames. */
PyObject *
stack_frame(Stack *self)
{
    Fibre *fibre = PyObject_TypeCheck(self, &Fibre_Type) ? (Fibre *)self : NULL;
    PyThreadState *ts = this_tstate();
    if (self->c == NULL || self->thread->current == self || (fibre != NULL && !fibre->active))
        Py_RETURN_NONE;
    int collecting = PyGC_Disable();
    pystate_frames frames = pystate_frames_swap(ts, PYSTATE_FRAMES(&self->c->py));
    PyFrameObject *frame = PyThreadState_GetFrame(ts);
    pystate_frames_swap(ts, frames);
    if (collecting)
        PyGC_Enable();
    if (frame == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    return (PyObject *)frame;
}

static PyObject *
stack_get_frame(Stack *self, void *Py_UNUSED(closure))
{
    return stack_frame(self);
}

PyObject *
stack_get_context(Stack *self, void *Py_UNUSED(closure))
{
    PyObject *context = NULL;
    if (self->thread->current == self) { /* of a stack that runs elsewhere, nobody can tell */
        if (self->thread == here())
            context = self->thread->ts->context;
    }
    else if (self->c != NULL)
        context = self->c->py.context;
    return Py_NewRef(context != NULL ? context : Py_None);
}

/* -------------------------------------------------------------------------------------- the types */

static PyMethodDef stack_methods[] = {
    {"switch", (PyCFunction)(void (*)(void))stack_switch, METH_FASTCALL,
     "Go on with this stack; returns when somebody comes back."},
    {NULL},
};

static PyGetSetDef stack_getset[] = {
    {"gr_frame", (getter)stack_get_frame, NULL, "The innermost frame while it is set aside.", NULL},
    {"gr_context", (getter)stack_get_context, NULL, "The context that it is in, or None.", NULL},
    {NULL},
};

static void
stack_dealloc(PyObject *self)
{
    PyObject_Free(self);
}

PyTypeObject Stack_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Stack",
    .tp_doc = "A call stack: what runs, or is set aside.",
    .tp_basicsize = sizeof(Stack),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = stack_methods,
    .tp_getset = stack_getset,
    .tp_dealloc = stack_dealloc,
};

PyTypeObject Thread_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Thread",
    .tp_doc = "A thread's own call stack.",
    .tp_basicsize = sizeof(Thread),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_base = &Stack_Type,
    .tp_dealloc = stack_dealloc,
};
