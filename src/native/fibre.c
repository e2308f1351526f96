/* Fibres: their memory, and their fields as Python sees them.
 *
 * Rules:
 * - The top page of a stack holds the outermost C frames, the `cstack` and the beginning of the
 *   frames of Python functions, so that a shallow paused job costs one page.
 * - The fields have the names and meanings of those of pausable._fibre_greenlet.Fibre and
 *   pausable._job.JobFibre, so that what is rare is done by the same code in Python on either kind.
 */
#include "core.h"

/* The tail of a stack's memory is for its cstack and the frames of Python functions; then the
 * interpreter makes more room elsewhere. Of the page where that begins, this much is for C frames: */
#define HOT_BYTES 1600

PyObject *state_objects[STATES];

HIDDEN void pausable_stack_begin(void);

int
fibre_make_stack(Fibre *self)
{
    if (self->base.c != NULL)
        return 0;
    if (stack_take((size_t)self->size_bytes, &self->mem) < 0)
        return -1;
    uintptr_t at = (uintptr_t)self->mem.high - STACKMEM_TAIL + HOT_BYTES;
    cstack *c = (cstack *)(at & ~(uintptr_t)63);
    uintptr_t chunk = ((uintptr_t)c + sizeof *c + 63) & ~(uintptr_t)63;
    self->base.c = c;
    pystate_new(&c->py, &c->root, (void *)chunk, self->mem.high,
                (char *)c - self->mem.low - 4096 /* what the deepest level may need beyond its share */);
    c->sp = switch_prepare(c, self, pausable_stack_begin);
#ifdef __SANITIZE_ADDRESS__
    c->asan_low = self->mem.low;
    c->asan_size = (size_t)((char *)c - self->mem.low);
#endif
    return 0;
}

/* Give back what an idle stack has touched, but for its top pages, if it was used deeper than those.
 *
 * Whether it was is seen from what was left there: no C code gets down there without leaving a return
 * address or two in half a KiB. Asking the kernel instead would cost a call for each end of a job. */
#define WARM_PAGES 2

void
fibre_trim_if_deep(Fibre *self)
{
    if (self->base.c == NULL)
        return;
    char *top = (char *)((uintptr_t)self->base.c & ~(STACKMEM_PAGE - 1)); /* of the hot page */
    char *cold = top - WARM_PAGES * STACKMEM_PAGE;
    const uint64_t *word = (const uint64_t *)(cold + STACKMEM_PAGE - 512);
    for (int i = 0; i < 64; i++)
        if (word[i] != 0) {
            stackmem_trim(&self->mem, (size_t)(self->mem.high - cold) - STACKMEM_PAGE);
            return;
        }
}

static void
fibre_give_stack(Fibre *self)
{
    if (self->base.c != NULL) {
        Py_CLEAR(self->base.c->py.context);
        self->base.c = NULL;
        stack_give(&self->mem);
    }
}

static int
fibre_set_context(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || (value != Py_None && !PyContext_CheckExact(value))) {
        PyErr_Format(PyExc_TypeError, "a stack's context has to be a Context or None");
        return -1;
    }
    if (self->base.thread->current == &self->base) {
        PyErr_SetString(FibreError, "the context of a running stack cannot be exchanged");
        return -1;
    }
    if (fibre_make_stack(self) < 0)
        return -1;
    PyObject *context = value == Py_None ? NULL : Py_NewRef(value);
    Py_XSETREF(self->base.c->py.context, context);
    return 0;
}

PyObject *
fibre_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Thread *thread = here();
    if (thread == NULL)
        return NULL;
    Fibre *self = (Fibre *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->base.thread = (Thread *)Py_NewRef(thread);
    self->state = READY;
    self->size_bytes = PY_VERSION_HEX < 0x030C0000 ? 2 << 20 : 1 << 20;
    return (PyObject *)self;
}

static PyObject *
fibre_warm_up(Fibre *self, PyObject *Py_UNUSED(none))
{
    if (fibre_make_stack(self) < 0)
        return NULL;
    if (self->state == READY)
        self->state = ENDED; /* as after a call: idle */
    Py_RETURN_NONE;
}

static PyObject *
fibre_retire(Fibre *self, PyObject *Py_UNUSED(none))
{
    if (self->active) {
        PyErr_SetString(FibreError, "a call is on this stack: its memory cannot be given back");
        return NULL;
    }
    fibre_give_stack(self);
    Py_RETURN_NONE;
}

static PyObject *
fibre_saved_bytes(Fibre *self, PyObject *Py_UNUSED(none))
{
    if (!self->active || self->base.c == NULL || self->base.thread->current == &self->base)
        return PyLong_FromLong(0);
    return PyLong_FromSsize_t((char *)self->base.c - (char *)self->base.c->sp);
}

size_t
fibre_resident(Fibre *self)
{
    cstack *c = self->base.c;
    if (c == NULL)
        return 0;
    int aside = self->active && self->base.thread->current != &self->base;
    return stackmem_resident(&self->mem, aside ? c->sp : (char *)c);
}

static PyObject *
fibre_resident_bytes(Fibre *self, PyObject *Py_UNUSED(none))
{
    return PyLong_FromSize_t(fibre_resident(self));
}

/* The fields that hold objects. */
#define EACH_OBJECT(X)                                                                             \
    X(fn) X(args) X(kwargs) X(resumer) X(value) X(exc) X(context) X(driver) X(job) X(pool) \
    X(wait_ctx) X(entered) X(vars) X(spare)

static int
fibre_traverse(Fibre *self, visitproc visit, void *arg)
{
#define VISIT(field) Py_VISIT(self->field);
    EACH_OBJECT(VISIT)
    if (self->base.c != NULL && self->base.thread->current != &self->base)
        Py_VISIT(self->base.c->py.context);
    return 0;
}

static int
fibre_clear(Fibre *self)
{
#define CLEAR(field) Py_CLEAR(self->field);
    EACH_OBJECT(CLEAR)
    return 0;
}

static void
fibre_dealloc(Fibre *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->active)
        Py_FatalError("pausable: a fibre with a call on it was let go of");
    fibre_clear(self);
    fibre_give_stack(self);
    Py_CLEAR(self->base.thread);
    type->tp_free(self);
}

static PyObject *
fibre_get_state(Fibre *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(state_objects[(int)self->state]);
}

static int
fibre_set_state(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    for (int i = 0; i < STATES; i++)
        if (value != NULL && value == state_objects[i]) {
            self->state = (char)i;
            return 0;
        }
    PyErr_Format(PyExc_TypeError, "state has to be a State, not %R", value ? value : Py_None);
    return -1;
}

static PyObject *
fibre_get_resumer(Fibre *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->resumer != NULL ? self->resumer : Py_None);
}

static int
fibre_set_resumer(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (!is_set(value)) {
        Py_CLEAR(self->resumer);
        return 0;
    }
    if (resumer_stack(value) == NULL) {
        PyErr_Format(PyExc_TypeError, "a resumer has to be a stack or stand for one, not %R", value);
        return -1;
    }
    Py_XSETREF(self->resumer, Py_NewRef(value));
    return 0;
}

/* On greenlet, the callback of the weak reference to the job. Here a job tells its fibre by itself. */
static PyObject *
fibre_get_lost(Fibre *self, void *Py_UNUSED(closure))
{
    return PyObject_GetAttrString((PyObject *)self, "_on_lost");
}

static int
fibre_set_lost(Fibre *Py_UNUSED(self), PyObject *Py_UNUSED(value), void *Py_UNUSED(closure))
{
    return 0;
}

static PyObject *
fibre_get_size(Fibre *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(self->size_bytes);
}

static int
fibre_set_size(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t size = value != NULL ? PyLong_AsSsize_t(value) : -1;
    if (size == -1 && PyErr_Occurred())
        return -1;
    if (size < (Py_ssize_t)STACKMEM_MIN || size > (Py_ssize_t)STACKMEM_MAX || self->base.c != NULL) {
        PyErr_SetString(PyExc_ValueError,
                        self->base.c != NULL ? "the stack has its memory already"
                                             : "a stack has to have 384 KiB to 1 GiB");
        return -1;
    }
    self->size_bytes = size;
    return 0;
}

/* What to enter to go on with the call. On greenlet, that may be another's greenlet inside of it. */
static PyObject *
fibre_get_point(Fibre *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self);
}

static int
fibre_set_point(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == (PyObject *)self)
        return 0;
    PyErr_SetString(FibreError, "a call on a native stack cannot be set aside elsewhere");
    return -1;
}

/* The job whose call is on the fibre, if somebody still holds it. */
static PyObject *
fibre_get_job(Fibre *self, void *Py_UNUSED(closure))
{
    PyObject *job = fibre_job(self);
    return Py_NewRef(job != NULL ? job : Py_None);
}

static int
fibre_set_job(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (is_set(value) && !is_job(value)) {
        PyErr_Format(PyExc_TypeError, "job has to be a Job or None, not %R", value);
        return -1;
    }
    self->weak_job = NULL;
    Py_XSETREF(self->job, is_set(value) ? (Job *)Py_NewRef(value) : NULL);
    return 0;
}

static PyObject *
fibre_get_pool(Fibre *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->pool != NULL ? (PyObject *)self->pool : Py_None);
}

static int
fibre_set_pool(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyObject_TypeCheck(value, &Pool_Type)) {
        PyErr_Format(PyExc_TypeError, "pool has to be a pool, not %R", value ? value : Py_None);
        return -1;
    }
    Py_XSETREF(self->pool, (Pool *)Py_NewRef(value));
    return 0;
}

/* The starter's context as it was when the job began: what differs at the end is published. */
static PyObject *
fibre_get_snapshot(Fibre *self, void *Py_UNUSED(closure))
{
    if (self->vars == NULL)
        Py_RETURN_NONE;
    return context_with(self->vars);
}

static int
fibre_set_snapshot(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "a snapshot can only be dropped (None)");
        return -1;
    }
    Py_CLEAR(self->vars);
    return 0;
}

/* On greenlet, a weak reference to the job. Here `job` is weak itself after the first pause. */
static PyObject *
fibre_get_ref(Fibre *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

static int
fibre_set_ref(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "a native fibre needs no weak reference");
        return -1;
    }
    self->weak_job = NULL;
    return 0;
}

static PyObject *
fibre_get_dead(Fibre *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_FALSE;
}

/* The counter of blocks is apart; see blocks.c. */
static PyObject *
fibre_get_alert(Fibre *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->alert || self->blocks > 0);
}

static int
fibre_set_alert(Fibre *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyBool_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "alert has to be a bool");
        return -1;
    }
    self->alert = value == Py_True;
    return 0;
}

static PyMethodDef fibre_methods[] = {
    {"warm_up", (PyCFunction)fibre_warm_up, METH_NOARGS, "Have the memory now."},
    {"retire", (PyCFunction)fibre_retire, METH_NOARGS, "Give the memory back."},
    {"saved_bytes", (PyCFunction)fibre_saved_bytes, METH_NOARGS,
     "Return how much of the C stack is in use while it is set aside."},
    {"resident_bytes", (PyCFunction)fibre_resident_bytes, METH_NOARGS,
     "Return how much memory its stack holds."},
    {NULL},
};

#define OBJECT(field) {#field, T_OBJECT, offsetof(Fibre, field), 0, NULL}

static PyMemberDef fibre_members[] = {
    OBJECT(value), OBJECT(exc), OBJECT(context), OBJECT(driver),
    OBJECT(wait_ctx),
    {"blocks", T_PYSSIZET, offsetof(Fibre, blocks), 0, NULL},
    {"notable", T_BOOL, offsetof(Fibre, notable), 0, NULL},
    {NULL},
};

static PyGetSetDef fibre_getset[] = {
    {"state", (getter)fibre_get_state, (setter)fibre_set_state, "Of the call.", NULL},
    {"job", (getter)fibre_get_job, (setter)fibre_set_job, "The job, if anybody holds it.", NULL},
    {"pool", (getter)fibre_get_pool, (setter)fibre_set_pool, "Where it belongs.", NULL},
    {"ref", (getter)fibre_get_ref, (setter)fibre_set_ref, "None: `job` is weak itself.", NULL},
    {"snapshot", (getter)fibre_get_snapshot, (setter)fibre_set_snapshot,
     "The starter's context, as it was when the job began.", NULL},
    {"resumer", (getter)fibre_get_resumer, (setter)fibre_set_resumer, "Who entered last.", NULL},
    {"lost", (getter)fibre_get_lost, (setter)fibre_set_lost, "Its `_on_lost`.", NULL},
    {"size_bytes", (getter)fibre_get_size, (setter)fibre_set_size, "Of its memory.", NULL},
    {"point", (getter)fibre_get_point, (setter)fibre_set_point, "The fibre itself.", NULL},
    {"alert", (getter)fibre_get_alert, (setter)fibre_set_alert, "A pause has to look closer.", NULL},
    {"dead", (getter)fibre_get_dead, NULL, "A fibre of this kind never dies.", NULL},
    {"gr_context", (getter)stack_get_context, (setter)fibre_set_context, "As of Stack.", NULL},
    {NULL},
};

PyTypeObject Fibre_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pausable._native.Fibre",
    .tp_doc = "One call stack, used for one call after another.",
    .tp_basicsize = sizeof(Fibre),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_base = &Stack_Type,
    .tp_new = fibre_new,
    .tp_dealloc = (destructor)fibre_dealloc,
    .tp_traverse = (traverseproc)fibre_traverse,
    .tp_clear = (inquiry)fibre_clear,
    .tp_methods = fibre_methods,
    .tp_members = fibre_members,
    .tp_getset = fibre_getset,
};
