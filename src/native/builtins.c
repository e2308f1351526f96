/* The builtins that stand in for functions, methods and properties of the reference.
 *
 * Rules:
 * - Each has the name, the text and the module (or class) of what it stands in for.
 * - A method becomes a method of the very class of the reference, so that subclasses, super() and
 *   messages are as there.
 * - What it stands in for is kept, and is asked in what is rare: see `refer`.
 */
#include "drive.h"

typedef struct {
    const char *of; /* a class; NULL: a function of a module */
    PyMethodDef def;
    const char *signature;
    PyObject **reference; /* where to keep it, or NULL */
} stand_in;

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static stand_in stand_ins[] = {
    {NULL, {"start", FAST(native_start), METH_FASTCALL | METH_KEYWORDS}, "(fn, /, *args, **kwargs)"},
    {NULL, {"launch", FAST(native_launch), METH_FASTCALL}, "(pool, wait_ctx, driver, fn, args, kwargs, /)"},
    {NULL, {"pause", FAST(native_pause), METH_FASTCALL}, "()"},
    {NULL, {"current_fibre", FAST(native_current_fibre), METH_FASTCALL}, "()", &references.current_fibre},
    {NULL, {"current_job", FAST(native_current_job), METH_FASTCALL}, "()", &references.current_job},
    {NULL, {"can_pause", FAST(native_can_pause), METH_FASTCALL}, "()", &references.can_pause},
    {NULL, {"current_wait_ctx", FAST(native_current_wait_ctx), METH_FASTCALL}, "()", &references.current_wait_ctx},
    {NULL, {"run", FAST(native_run), METH_FASTCALL | METH_KEYWORDS}, "(fn, /, *args, **kwargs)"},
    {NULL, {"ASYNC_block_pause", FAST(native_block_pause), METH_FASTCALL}, "()"},
    {NULL, {"ASYNC_unblock_pause", FAST(native_unblock_pause), METH_FASTCALL}, "()"},
    {"JobFibre", {"block", (PyCFunction)fibre_block_by, METH_O}, "($self, by, /)"},
    {"JobFibre", {"wait_in", (PyCFunction)fibre_wait_in, METH_O}, "($self, wait_ctx, /)"},
    {"JobPool", {"start", FAST(pool_start), METH_FASTCALL | METH_KEYWORDS}, "($self, fn, /, *args, **kwargs)"},
    {"JobPool", {"start_in", FAST(pool_start_in), METH_FASTCALL | METH_KEYWORDS},
     "($self, wait_ctx, fn, /, *args, **kwargs)"},
    {"Job", {"resume", job_resume, METH_NOARGS}, "($self, /)"},
    {"Job", {"done", job_done, METH_NOARGS}, "($self, /)", &references.done},
    {"Job", {"result", job_result, METH_NOARGS}, "($self, /)", &references.result},
    {"Job", {"exception", job_exception, METH_NOARGS}, "($self, /)", &references.exception},
    {"Job", {"cancelled", job_cancelled, METH_NOARGS}, "($self, /)", &references.cancelled},
    {"Job", {"__enter__", job_enter, METH_NOARGS}, "($self, /)"},
    {"Job", {"__exit__", FAST(job_exit), METH_FASTCALL}, "($self, /, *_exc)", &references.exit},
};

static struct {
    const char *of;
    PyGetSetDef def;
    PyObject **reference;
} properties[] = {
    {"Job", {"paused", job_get_paused}, &references.paused},
    {"Job", {"wait_ctx", job_where_it_waits}, &references.wait_ctx},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Do what the reference does: a function or method, or the property that `self` has. */
COLD PyObject *
refer(PyObject *reference, PyObject *self)
{
    if (reference == NULL) {
        PyErr_SetString(PyExc_SystemError, "pausable: the core was not given its references");
        return NULL;
    }
    if (Py_TYPE(reference) == &PyProperty_Type)
        return Py_TYPE(reference)->tp_descr_get(reference, self, (PyObject *)Py_TYPE(self));
    return self != NULL ? PyObject_CallOneArg(reference, self) : PyObject_CallNoArgs(reference);
}

/* Return the text of `reference`, below a signature; it lives as long as the builtin: for ever. */
static const char *
text_of(PyObject *reference, const char *name, const char *signature)
{
    PyObject *doc = PyObject_GetAttrString(reference, "__doc__");
    const char *text = doc == NULL ? NULL : PyUnicode_Check(doc) ? PyUnicode_AsUTF8(doc) : "";
    char *whole = NULL;
    if (text != NULL) {
        whole = PyMem_RawMalloc(strlen(name) + strlen(signature) + strlen(text) + 16);
        if (whole == NULL)
            PyErr_NoMemory();
        else if (*signature == '\0')
            strcpy(whole, text);
        else
            sprintf(whole, "%s%s\n--\n\n%s", name, signature, text);
    }
    Py_XDECREF(doc);
    return whole;
}

/* Return the builtin that does what a function of the reference does. */
PyObject *
instead_of(PyObject *Py_UNUSED(module), PyObject *reference)
{
    PyObject *name = PyObject_GetAttrString(reference, "__name__");
    PyObject *in = name != NULL ? PyObject_GetAttrString(reference, "__module__") : NULL;
    PyObject *builtin = NULL;
    const char *called = in && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    for (size_t i = 0; called != NULL && i < COUNT(stand_ins); i++) {
        stand_in *it = &stand_ins[i];
        if (it->of != NULL || strcmp(called, it->def.ml_name) != 0)
            continue;
        if ((it->def.ml_doc = text_of(reference, called, it->signature)) != NULL)
            builtin = PyCFunction_NewEx(&it->def, NULL, in);
        if (builtin != NULL && it->reference != NULL)
            Py_XSETREF(*it->reference, Py_NewRef(reference));
        break;
    }
    if (builtin == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_LookupError, "there is no builtin for %R", reference);
    Py_XDECREF(name);
    Py_XDECREF(in);
    return builtin;
}

/* Put a descriptor (its reference is taken) in the place of what `kind` has; 0, or -1. */
static int
put(PyObject *kind, const char *name, PyObject *descriptor, PyObject *old, PyObject **reference)
{
    int failed = descriptor == NULL || PyObject_SetAttrString(kind, name, descriptor) < 0;
    Py_XDECREF(descriptor);
    if (!failed && reference != NULL)
        Py_XSETREF(*reference, Py_NewRef(old));
    return failed ? -1 : 0;
}

/* Have the methods and properties of a class that the core knows better done by the core. */
PyObject *
take_over(PyObject *Py_UNUSED(module), PyObject *kind)
{
    if (!PyType_Check(kind) || !(PyType_IsSubtype((PyTypeObject *)kind, &Fibre_Type) ||
                                 PyType_IsSubtype((PyTypeObject *)kind, &Pool_Type) ||
                                 (PyTypeObject *)kind == Job_Type)) {
        PyErr_Format(PyExc_TypeError, "there are no methods for %R", kind);
        return NULL;
    }
    PyObject *called = PyObject_GetAttrString(kind, "__name__");
    const char *of = called != NULL ? PyUnicode_AsUTF8(called) : NULL;
    int failed = of == NULL;
    for (size_t i = 0; !failed && i < COUNT(stand_ins); i++) {
        stand_in *it = &stand_ins[i];
        if (it->of == NULL || strcmp(of, it->of) != 0)
            continue;
        PyObject *old = PyObject_GetAttrString(kind, it->def.ml_name), *method = NULL;
        if (old != NULL && (it->def.ml_doc = text_of(old, it->def.ml_name, it->signature)) != NULL)
            method = PyDescr_NewMethod((PyTypeObject *)kind, &it->def);
        failed = put(kind, it->def.ml_name, method, old, it->reference) < 0;
        Py_XDECREF(old);
    }
    for (size_t i = 0; !failed && i < COUNT(properties); i++) {
        PyGetSetDef *def = &properties[i].def;
        if (strcmp(of, properties[i].of) != 0)
            continue;
        PyObject *old = PyObject_GetAttrString(kind, def->name), *property = NULL;
        if (old != NULL && (def->doc = text_of(old, def->name, "")) != NULL)
            property = PyDescr_NewGetSet((PyTypeObject *)kind, def);
        failed = put(kind, def->name, property, old, properties[i].reference) < 0;
        Py_XDECREF(old);
    }
    Py_XDECREF(called);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}
