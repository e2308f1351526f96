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

/* Keep what a dict has by those names, or has to have if it is `all`; 0, or -1 with an error set. */
int
take_hooks(PyObject *given, const hook_place *places, size_t count, int all)
{
    if (!PyDict_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "hooks have to be a dict");
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *hook = PyDict_GetItemString(given, places[i].name);
        if (hook != NULL)
            Py_XSETREF(*places[i].at, Py_NewRef(hook));
        else if (all) {
            PyErr_Format(PyExc_KeyError, "%s", places[i].name);
            return -1;
        }
    }
    return 0;
}

/* Make the strings that are looked up; 0, or -1 with an error set. */
int
intern_names(const hook_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (*places[i].at == NULL &&
            (*places[i].at = PyUnicode_InternFromString(places[i].name)) == NULL)
            return -1;
    return 0;
}

/* Take over the functions of the reference for what is rare: a dict, by name. */
PyObject *
bind_hooks(PyObject *Py_UNUSED(module), PyObject *given)
{
    static const hook_place all[] = {
        {"take", &hooks.take},
        {"name_of", &hooks.name_of},
        {"settle", &hooks.settle},
        {"keep_traceback", &hooks.keep_traceback},
        {"outside", &hooks.outside},
        {"watch", &hooks.watch},
        {"do_nothing", &hooks.do_nothing},
        {"refuse_resume", &hooks.refuse_resume},
        {"foreign_switch", &hooks.foreign_switch},
        {"dead_stack", &hooks.dead_stack},
        {"thread_pool", &hooks.thread_pool},
        {"refuse_context", &hooks.refuse_context},
        {"hidden", &hooks.hidden},
        {"notice", &hooks.notice},
        {"fibre_type", &hooks.fibre_type},
        {"elsewhere", &hooks.elsewhere},
        {"given_way", &hooks.given_way},
    };
    static const hook_place texts[] = {
        {"may_pause", &names.may_pause},
        {"resumed", &names.resumed},
        {"_reset", &names.reset},
        {"_job_ended", &names.job_ended},
        {"_jobs", &names.jobs},
        {"wait_ctx", &names.wait_ctx},
        {"context", &names.context},
        {"_change_resumer", &names.change_resumer},
        {"_check_thread", &names.check_thread},
        {"outermost", &names.outermost},
        {"append", &names.append},
        {"items", &names.items},
        {"drop", &names.drop},
        {"__name__", &names.name},
        {"outside_jobs", &names.outside_jobs},
        {"__enter__", &names.enter},
        {"__exit__", &names.exit},
        {"ASYNC_block_pause", &names.block_pause},
        {"ASYNC_unblock_pause", &names.unblock_pause},
    };
    if (take_hooks(given, all, sizeof all / sizeof *all, 0) < 0)
        return NULL;
    if (no_vars == NULL) {
        PyObject *empty = PyContext_New();
        if (empty == NULL)
            return NULL;
        no_vars = Py_NewRef(pystate_context_vars(empty));
        Py_DECREF(empty);
    }
    if (intern_names(texts, sizeof texts / sizeof *texts) < 0)
        return NULL;
    Py_RETURN_NONE;
}
