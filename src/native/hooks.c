/* What the core takes over from pausable._job, and what it gives to it. */
#include "drive.h"

PyObject *no_vars;
job_hooks hooks;
job_names names;
job_references references;

COLD void
raise_from_hook(PyObject *hook, Job *job)
{
    PyObject *exc = PyObject_CallOneArg(hook, (PyObject *)job);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
}

static PyMethodDef builtins[] = {
    {"start", (PyCFunction)(void (*)(void))native_start, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"launch", (PyCFunction)(void (*)(void))native_launch, METH_FASTCALL, NULL},
    {"pause", (PyCFunction)(void (*)(void))native_pause, METH_FASTCALL, NULL},
    {"current_fibre", (PyCFunction)(void (*)(void))native_current_fibre, METH_FASTCALL, NULL},
    {"current_job", (PyCFunction)(void (*)(void))native_current_job, METH_FASTCALL, NULL},
    {"can_pause", (PyCFunction)(void (*)(void))native_can_pause, METH_FASTCALL, NULL},
    {"run", (PyCFunction)(void (*)(void))native_run, METH_FASTCALL | METH_KEYWORDS, NULL},
};

/* Return the builtin that does what a function of the reference does, with its text and module. */
PyObject *
instead_of(PyObject *Py_UNUSED(module), PyObject *reference)
{
    static const char *const signatures[] = {"fn, /, *args, **kwargs",
                                             "pool, wait_ctx, driver, fn, args, kwargs, /",
                                             "", "", "", "", "fn, /, *args, **kwargs"};
    PyObject *name = PyObject_GetAttrString(reference, "__name__");
    PyObject *doc = name != NULL ? PyObject_GetAttrString(reference, "__doc__") : NULL;
    PyObject *in = doc != NULL ? PyObject_GetAttrString(reference, "__module__") : NULL;
    PyObject *builtin = NULL;
    const char *called = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    const char *text = doc && PyUnicode_Check(doc) ? PyUnicode_AsUTF8(doc) : "";
    for (size_t i = 0; called && text && in && i < sizeof builtins / sizeof *builtins; i++) {
        if (strcmp(called, builtins[i].ml_name) != 0)
            continue;
        char *whole = PyMem_RawMalloc(strlen(text) + strlen(signatures[i]) + strlen(called) + 16);
        if (whole == NULL) {
            PyErr_NoMemory();
            break;
        }
        sprintf(whole, "%s(%s)\n--\n\n%s", called, signatures[i], text);
        builtins[i].ml_doc = whole; /* lives as long as the builtin: for ever */
        builtin = PyCFunction_NewEx(&builtins[i], NULL, in);
        if (strcmp(called, "current_fibre") == 0)
            Py_XSETREF(references.current_fibre, Py_NewRef(reference));
        else if (strcmp(called, "current_job") == 0)
            Py_XSETREF(references.current_job, Py_NewRef(reference));
        else if (strcmp(called, "can_pause") == 0)
            Py_XSETREF(references.can_pause, Py_NewRef(reference));
        break;
    }
    if (builtin == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_LookupError, "there is no builtin for %R", reference);
    Py_XDECREF(name);
    Py_XDECREF(doc);
    Py_XDECREF(in);
    return builtin;
}

static int
intern(PyObject **at, const char *text)
{
    if (*at == NULL)
        *at = PyUnicode_InternFromString(text);
    return *at == NULL ? -1 : 0;
}

/* Take over the functions of the reference for what is rare: a dict, by name. */
PyObject *
bind_hooks(PyObject *Py_UNUSED(module), PyObject *given)
{
    static const struct {
        const char *name;
        PyObject **at;
    } all[] = {
        {"take", &hooks.take},
        {"name_of", &hooks.name_of},
        {"wait_in", &hooks.wait_in},
        {"publish", &hooks.publish},
        {"settle", &hooks.settle},
        {"keep_traceback", &hooks.keep_traceback},
        {"outside", &hooks.outside},
        {"refuse_resume", &hooks.refuse_resume},
        {"foreign_switch", &hooks.foreign_switch},
        {"dead_stack", &hooks.dead_stack},
        {"thread_pool", &hooks.thread_pool},
        {"fibre_type", &hooks.fibre_type},
        {"elsewhere", &hooks.elsewhere},
        {"given_way", &hooks.given_way},
    };
    if (!PyDict_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "hooks have to be a dict");
        return NULL;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        PyObject *hook = PyDict_GetItemString(given, all[i].name);
        if (hook != NULL)
            Py_XSETREF(*all[i].at, Py_NewRef(hook));
    }
    if (no_vars == NULL) {
        PyObject *empty = PyContext_New();
        if (empty == NULL)
            return NULL;
        no_vars = Py_NewRef(pystate_context_vars(empty));
        Py_DECREF(empty);
    }
    if (intern(&names.may_pause, "may_pause") < 0 || intern(&names.resumed, "resumed") < 0 ||
        intern(&names.reset, "_reset") < 0 || intern(&names.context, "context") < 0 ||
        intern(&names.change_resumer, "_change_resumer") < 0 ||
        intern(&names.blocks, "blocks") < 0 || intern(&names.outermost, "outermost") < 0 ||
        intern(&names.append, "append") < 0 || intern(&names.drop, "drop") < 0 || intern(&names.name, "__name__") < 0)
        return NULL;
    Py_RETURN_NONE;
}
