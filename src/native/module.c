/* The module pausable._native. */
#include "drive.h"

#include <unistd.h>

static PyObject *
current_stack(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    Thread *thread = here();
    return thread == NULL ? NULL : Py_NewRef(thread->current);
}

/* With greenlet in the process, a thread's own stack is several. */
static PyObject *
current(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    Thread *thread = here();
    if (thread == NULL)
        return NULL;
    if (unlikely(greenlet_getcurrent != NULL) && thread->current == &thread->base) {
        PyObject *greenlet = current_greenlet();
        if (greenlet != Py_None)
            return greenlet;
        Py_DECREF(greenlet);
    }
    return Py_NewRef(thread->current);
}

static PyObject *
bind_states(PyObject *Py_UNUSED(module), PyObject *states)
{
    static const char *const names[STATES] = {"READY", "RUNNING", "PAUSED", "ENDED", "FORKED"};
    for (int i = 0; i < STATES; i++) {
        PyObject *state = PyObject_GetAttrString(states, names[i]);
        if (state == NULL)
            return NULL;
        Py_XSETREF(state_objects[i], state);
    }
    Py_RETURN_NONE;
}

static PyObject *
stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    static const char *const guards[] = {NULL, "madvise", "mprotect", "none"};
    stackmem_stats now = stackmem_get_stats();
    return Py_BuildValue("{s:n,s:n,s:n,s:z}", "stacks", (Py_ssize_t)now.stacks, "slabs",
                         (Py_ssize_t)now.slabs, "mapped_bytes", (Py_ssize_t)now.mapped_bytes,
                         "guard", guards[now.guard]);
}

static PyObject *
set_guard(PyObject *Py_UNUSED(module), PyObject *arg)
{
    const char *name = PyUnicode_AsUTF8(arg);
    if (name == NULL)
        return NULL;
    stackmem_guard guard = strcmp(name, "madvise") == 0    ? GUARD_BY_MADVISE
                           : strcmp(name, "mprotect") == 0 ? GUARD_BY_MPROTECT
                           : strcmp(name, "none") == 0     ? GUARD_NONE
                                                           : 0;
    if (guard == 0) {
        PyErr_Format(PyExc_ValueError, "a guard is 'madvise', 'mprotect' or 'none', not %R", arg);
        return NULL;
    }
    if (stackmem_set_guard(guard) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"current", current, METH_NOARGS, "Return the stack that is running."},
    {"current_stack", current_stack, METH_NOARGS, "Return the native stack that is running."},
    {"bind_states", bind_states, METH_O, "Take over the members of pausable._state.State."},
    {"stats", stats, METH_NOARGS, "Return figures about the memory of stacks."},
    {"new_fibre", new_fibre, METH_O, "Make a fibre, with its memory, and enter it in its pool."},
    {"stack_memory", stack_memory, METH_O, "Return (mapped, resident) bytes of a list's fibres."},
    {"set_allocator", set_allocator, METH_VARARGS, "Set what makes and frees memory for stacks."},
    {"take_stack", take_stack, METH_O, "Return memory for a stack: (address, size)."},
    {"give_stack", give_stack, METH_O, "Give back what take_stack returned."},
    {"set_guard", set_guard, METH_O, "Choose what guards the stacks; before the first is made."},
    {"bind_hooks", bind_hooks, METH_O, "Take over functions of pausable._job for what is rare."},
    {"instead_of", instead_of, METH_O, "Return the builtin that does what a function does."},
    {"take_over", take_over, METH_O, "Have the methods of a class done by the core."},
    {"bind_wait_context", bind_wait_context, METH_O, "Take over the type WaitContext."},
    {"make_job_type", make_job_type, METH_O, "Return the type Job, made from the reference."},
    {"await_here", await_here, METH_O, "Wait in a job for what its driver awaits, or NOT_HERE."},
    {"bind_asyncio", bind_asyncio, METH_O, "Take over functions of pausable.loops._asyncio."},
    {"bind_run", bind_run, METH_O, "Take over functions of pausable.loops._entry."},
    {"watch_greenlet", watch_greenlet, METH_VARARGS, "Take over greenlet.getcurrent."},
    {"set_thread_pool", set_thread_pool, METH_O, "Set or take away this thread's default pool."},
    {NULL},
};

/* Check that what a context consists of is where pystate.h says. */
static int
contexts_are_known(void)
{
    PyObject *context = PyContext_New(), *old = NULL, *var = NULL, *token = NULL, *vars;
    int known = 0;
    if (context == NULL || PyContext_Enter(context) < 0)
        goto done;
    vars = pystate_context_vars(context);
    old = vars != NULL && strcmp(Py_TYPE(vars)->tp_name, "hamt") == 0 ? Py_NewRef(vars) : NULL;
    var = PyContextVar_New("pausable", NULL);
    token = var != NULL ? PyContextVar_Set(var, Py_None) : NULL;
    if (token != NULL && old != NULL)
        known = pystate_context_vars(context) != old &&
                Py_TYPE(pystate_context_vars(context)) == Py_TYPE(old);
    if (PyContext_Exit(context) < 0)
        known = 0;
done:
    Py_XDECREF(token);
    Py_XDECREF(var);
    Py_XDECREF(old);
    Py_XDECREF(context);
    if (!known && !PyErr_Occurred())
        PyErr_SetString(PyExc_ImportError, "this build of CPython lays out contexts in another way");
    return known ? 0 : -1;
}

/* Whether this is the interpreter that the static variables are of. A program that embeds Python may end
 * it and begin with another; the address may be the same. */
static int
is_the_first_interpreter(void)
{
    static const char mark[] = "pausable._native";
    static int taken;
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    if (dict == NULL)
        return 0;
    if (!taken && PyDict_SetItemString(dict, mark, Py_True) == 0)
        taken = 1;
    return PyDict_GetItemString(dict, mark) != NULL;
}

/* Interpreters would share the objects that are kept in static variables: there is one that may. */
static int
module_exec(PyObject *m)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "pausable._native works in the main interpreter only");
        return -1;
    }
    if (!is_the_first_interpreter()) {
        PyErr_SetString(PyExc_ImportError,
                        "pausable._native works in the first interpreter of a process only, and that"
                        " was finalized");
        return -1;
    }
    if (sysconf(_SC_PAGESIZE) != STACKMEM_PAGE) {
        PyErr_Format(PyExc_ImportError,
                     "pausable._native was made for pages of memory of %zu bytes, not %ld",
                     STACKMEM_PAGE, sysconf(_SC_PAGESIZE));
        return -1;
    }
    if (PyType_Ready(&Stack_Type) < 0 || PyType_Ready(&Thread_Type) < 0 ||
        PyType_Ready(&Fibre_Type) < 0 || PyType_Ready(&Pool_Type) < 0 ||
        PyType_Ready(&Block_Type) < 0 || PyType_Ready(&Guard_Type) < 0 ||
        PyType_Ready(&Hub_Type) < 0 || PyType_Ready(&Drive_Type) < 0 ||
        PyType_Ready(&Until_Type) < 0 || contexts_are_known() < 0)
        return -1;
    if (FibreError == NULL)
        FibreError = PyErr_NewException("pausable._native.FibreError", PyExc_RuntimeError, NULL);
    if (not_here == NULL)
        not_here = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    if (not_here == NULL || PyModule_AddObjectRef(m, "NOT_HERE", not_here) < 0 || FibreError == NULL ||
        PyModule_AddObjectRef(m, "FibreError", FibreError) < 0 ||
        PyModule_AddObjectRef(m, "Stack", (PyObject *)&Stack_Type) < 0 ||
        PyModule_AddObjectRef(m, "Fibre", (PyObject *)&Fibre_Type) < 0 ||
        PyModule_AddObjectRef(m, "Pool", (PyObject *)&Pool_Type) < 0 ||
        PyModule_AddObjectRef(m, "Block", (PyObject *)&Block_Type) < 0 ||
        PyModule_AddObjectRef(m, "Guard", (PyObject *)&Guard_Type) < 0 ||
        PyModule_AddObjectRef(m, "HubFields", (PyObject *)&Hub_Type) < 0 ||
        PyModule_AddObjectRef(m, "DriveFields", (PyObject *)&Drive_Type) < 0 ||
        PyModule_AddIntConstant(m, "MIN_STACK_BYTES", STACKMEM_MIN) < 0 ||
        PyModule_AddIntConstant(m, "MAX_STACK_BYTES", STACKMEM_MAX) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pausable._native",
    .m_doc = "Call stacks of their own for jobs: the native core.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
