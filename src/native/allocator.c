/* Memory for stacks from functions of the user's (ASYNC_set_mem_functions).
 *
 * Rules:
 * - alloc(size) returns what it lends, an address or a writable buffer, and how much; free(what) gets
 *   the very same object when the stack goes. Nobody calls it on that stack, for that is idle then.
 * - What was lent is looked at before it is used, and given back if it will not do: an address that
 *   nobody may write to would be a crash, and memory that others share (a fork's child, too) would
 *   be written to by both.
 * - Only whole pages are used. Where the memory begins at a page, its lowest 16 KiB become a guard for
 *   as long as it is lent; else an overflow runs into what lies below.
 * - What free() raises is reported and passes nobody: a stack goes in the middle of other code.
 * - The functions can be exchanged until the first job's stack is made, never after.
 */
#include "core.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

struct lent {
    PyObject *what;
    Py_buffer buffer; /* .obj is NULL: `what` is an address */
    char *base;
    size_t bytes;
    stackmem_guard guard; /* 0: it has none; GUARD_NONE: one that is not ours to undo */
};

static PyObject *alloc_fn, *free_fn; /* NULL: pausable's own */
static PyObject *in_use;             /* a set of addresses */
static int made;                     /* a job had a stack */

/* ----------------------------------------------------------------------------- what was lent -- */

/* Call free(what); what it raises is reported. */
static void
give_back(PyObject *what)
{
    PyObject *type, *exc, *tb, *done = NULL;
    PyErr_Fetch(&type, &exc, &tb);
    if (free_fn != NULL)
        done = PyObject_CallOneArg(free_fn, what);
    else {
        stackmem mem;
        char *base = PyLong_Check(what) ? PyLong_AsVoidPtr(what) : NULL;
        if (base != NULL && stackmem_find(base, &mem) == 0) {
            stackmem_give(&mem);
            done = Py_NewRef(Py_None);
        }
        else if (!PyErr_Occurred())
            PyErr_Format(PyExc_RuntimeError,
                         "a stack's memory was made by the alloc_fn of ASYNC_set_mem_functions, and"
                         " there is no free_fn; set both. It is lost: %R", what);
    }
    if (done == NULL)
        PyErr_WriteUnraisable(free_fn != NULL ? free_fn : what);
    Py_XDECREF(done);
    PyErr_Restore(type, exc, tb);
}

/* Find where the memory is: 0, or -1 with an exception set. */
static int
locate(lent *it, PyObject *size)
{
    if (PyLong_Check(it->what)) {
        it->base = PyLong_AsVoidPtr(it->what);
        if (it->base == NULL && PyErr_Occurred())
            return -1;
        it->bytes = PyLong_AsSize_t(size);
        return it->bytes == (size_t)-1 && PyErr_Occurred() ? -1 : 0;
    }
    if (!PyObject_CheckBuffer(it->what)) {
        PyErr_Format(PyExc_TypeError,
                     "alloc_fn has to return an address (int), a writable buffer or None (NULL), not"
                     " %R", it->what);
        return -1;
    }
    if (PyObject_GetBuffer(it->what, &it->buffer, PyBUF_WRITABLE) < 0)
        return -1;
    it->base = it->buffer.buf;
    it->bytes = (size_t)it->buffer.len;
    return 0;
}

/* Check that it can be a stack of `size` bytes: 0, or -1 with an exception set. */
static int
check(const lent *it, size_t size)
{
    if (it->bytes < size || it->bytes > STACKMEM_MAX) {
        PyErr_Format(PyExc_ValueError, "alloc_fn was asked for a stack of %zu bytes and gave %zu (%R)",
                     size, it->bytes, it->what);
        return -1;
    }
    char *low = (char *)page_up((size_t)it->base);
    size_t bytes = ((size_t)it->base + it->bytes - (size_t)low) & ~(STACKMEM_PAGE - 1);
    /* That can be asked for of memory which is all there, and shared with nobody; it is undone. */
    if (it->base == NULL || low < it->base || madvise(low, bytes, MADV_WIPEONFORK) != 0 ||
        madvise(low, bytes, MADV_KEEPONFORK) != 0) {
        PyErr_Format(PyExc_ValueError,
                     "the memory of alloc_fn (%R) has to be mapped, anonymous and private, as of"
                     " mmap.mmap(-1, num.value, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)", it->what);
        return -1;
    }
    /* The kernel refuses to write where we would crash: in the page that is used first. */
    if (getrandom(low + bytes - STACKMEM_TAIL, 1, GRND_NONBLOCK) < 0 && errno == EFAULT) {
        PyErr_Format(PyExc_ValueError, "the memory of alloc_fn (%R) cannot be written to", it->what);
        return -1;
    }
    return 0;
}

static int
guard(lent *it)
{
    stackmem own;
    stackmem_guard kind = stackmem_get_stats().guard;
    if ((size_t)it->base % STACKMEM_PAGE != 0 || kind == GUARD_NONE)
        return 0;
    if (stackmem_find(it->base, &own) == 0) { /* pausable's own memory: it has one */
        it->guard = GUARD_NONE;
        return 0;
    }
    /* Locked memory takes no such guard, but the other one. */
    if (kind != GUARD_BY_MPROTECT && madvise(it->base, STACKMEM_GUARD, MADV_GUARD_INSTALL) == 0)
        it->guard = GUARD_BY_MADVISE;
    else if (stackmem_mprotect_guard(it->base) == 0)
        it->guard = GUARD_BY_MPROTECT;
    else
        return -1;
    return 0;
}

static void
lent_end(lent *it)
{
    if (it->guard == GUARD_BY_MADVISE)
        (void)madvise(it->base, STACKMEM_GUARD, MADV_GUARD_REMOVE);
    else if (it->guard == GUARD_BY_MPROTECT)
        stackmem_mprotect_undo(it->base);
    if (it->buffer.obj != NULL)
        PyBuffer_Release(&it->buffer);
    give_back(it->what);
    Py_DECREF(it->what);
    PyMem_RawFree(it);
}

/* -------------------------------------------------------------------------- taking and giving -- */

/* Say that the allocator failed; what it raised is the cause. */
static void
explain(size_t size)
{
    PyObject *cause, *name, *text, *exc;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return; /* Ctrl-C */
    cause = PyErr_Occurred() ? take_error() : NULL;
    name = cause != NULL ? PyObject_Str(cause) : PyUnicode_FromString("it returned NULL");
    text = name == NULL ? NULL
                        : PyUnicode_FromFormat("no stack of %zu bytes from the alloc_fn of"
                                               " ASYNC_set_mem_functions: %U", size, name);
    exc = text == NULL ? NULL : PyObject_CallOneArg(PyExc_MemoryError, text);
    if (exc != NULL) {
        PyException_SetCause(exc, Py_XNewRef(cause));
        PyErr_SetObject(PyExc_MemoryError, exc);
        Py_DECREF(exc);
    }
    Py_XDECREF(name);
    Py_XDECREF(text);
    Py_XDECREF(cause);
}

/* Have alloc() called: the object, or NULL with or without an exception set; its size in `size`. */
static PyObject *
borrow(size_t bytes, PyObject **size)
{
    PyObject *what, *got;
    if (alloc_fn == NULL) {
        stackmem mem;
        if (stackmem_take(bytes, &mem) < 0)
            return NULL;
        *size = PyLong_FromSize_t((size_t)(mem.high - mem.low) + STACKMEM_GUARD);
        what = *size != NULL ? PyLong_FromVoidPtr(mem.low - STACKMEM_GUARD) : NULL;
        if (what == NULL)
            stackmem_give(&mem);
        return what;
    }
    got = PyObject_CallFunction(alloc_fn, "n", (Py_ssize_t)bytes);
    if (got == NULL)
        return NULL;
    if (!PyTuple_Check(got) || PyTuple_GET_SIZE(got) != 2) {
        PyErr_SetString(PyExc_TypeError, "an allocator has to return the memory and its size");
        Py_DECREF(got);
        return NULL;
    }
    what = Py_NewRef(PyTuple_GET_ITEM(got, 0));
    *size = Py_NewRef(PyTuple_GET_ITEM(got, 1));
    Py_DECREF(got);
    if (what == Py_None)
        Py_CLEAR(what);
    return what;
}

static int
take_lent(size_t bytes, stackmem *out)
{
    PyObject *size = NULL, *address = NULL, *what = borrow(bytes, &size);
    lent *it = NULL;
    if (what == NULL)
        goto failed;
    if ((it = PyMem_RawCalloc(1, sizeof *it)) == NULL) {
        PyErr_NoMemory();
        give_back(what);
        goto failed;
    }
    it->what = what;
    if (locate(it, size) < 0 || check(it, bytes) < 0)
        goto unfit;
    if (in_use == NULL && (in_use = PySet_New(NULL)) == NULL)
        goto unfit;
    address = PyLong_FromVoidPtr(it->base);
    int known = address != NULL ? PySet_Contains(in_use, address) : -1;
    if (known > 0) { /* it is not to be given back: a job is on it */
        PyErr_Format(PyExc_ValueError, "alloc_fn gave memory that another stack is in (%R)", what);
        if (it->buffer.obj != NULL)
            PyBuffer_Release(&it->buffer);
        PyMem_RawFree(it);
        Py_CLEAR(what);
        goto failed;
    }
    if (known < 0 || PySet_Add(in_use, address) < 0)
        goto unfit;
    if (guard(it) < 0) {
        PySet_Discard(in_use, address);
        goto unfit;
    }
    Py_DECREF(address);
    Py_XDECREF(size);
    out->low = (char *)page_up((size_t)it->base + (it->guard ? STACKMEM_GUARD : 0));
    out->high = (char *)(((size_t)it->base + it->bytes) & ~(STACKMEM_PAGE - 1));
    out->slab = NULL;
    out->lent = it;
    return 0;

unfit:
    lent_end(it);
failed:
    Py_XDECREF(address);
    Py_XDECREF(size);
    explain(bytes);
    return -1;
}

int
stack_take(size_t size, stackmem *out)
{
    if (Job_Type != NULL) /* else it is for the test at import */
        made = 1;
    if (likely(alloc_fn == NULL && free_fn == NULL))
        return stackmem_take(size, out);
    return take_lent(size, out);
}

void
stack_give(stackmem *mem)
{
    if (likely(mem->lent == NULL)) {
        stackmem_give(mem);
        return;
    }
    lent *it = mem->lent;
    mem->lent = NULL;
    PyObject *type, *exc, *tb, *address;
    PyErr_Fetch(&type, &exc, &tb);
    address = PyLong_FromVoidPtr(it->base);
    if (address == NULL || PySet_Discard(in_use, address) < 0)
        PyErr_Clear();
    Py_XDECREF(address);
    lent_end(it);
    PyErr_Restore(type, exc, tb);
}

size_t
stack_mapped(const stackmem *mem)
{
    return mem->lent != NULL ? mem->lent->bytes : (size_t)(mem->high - mem->low) + STACKMEM_GUARD;
}

/* ------------------------------------------------------------------------------ for pausable -- */

/* set_allocator(alloc, free) -> bool: None leaves one as it is; False: it is too late. */
PyObject *
set_allocator(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *alloc, *release;
    if (!PyArg_ParseTuple(args, "OO:set_allocator", &alloc, &release))
        return NULL;
    if ((alloc != Py_None && !PyCallable_Check(alloc)) ||
        (release != Py_None && !PyCallable_Check(release))) {
        PyErr_SetString(PyExc_TypeError, "set_allocator() takes functions or None");
        return NULL;
    }
    if (made)
        Py_RETURN_FALSE;
    if (alloc != Py_None)
        Py_XSETREF(alloc_fn, Py_NewRef(alloc));
    if (release != Py_None)
        Py_XSETREF(free_fn, Py_NewRef(release));
    Py_RETURN_TRUE;
}

/* take_stack(size) -> (address, size): pausable's own memory, for allocators that add to it. */
PyObject *
take_stack(PyObject *Py_UNUSED(module), PyObject *arg)
{
    stackmem mem;
    size_t size = PyLong_AsSize_t(arg);
    if (size == (size_t)-1 && PyErr_Occurred())
        return NULL;
    if (size < STACKMEM_MIN || size > STACKMEM_MAX) {
        PyErr_Format(PyExc_ValueError, "a stack has %zu to %zu bytes, not %zu", STACKMEM_MIN,
                     STACKMEM_MAX, size);
        return NULL;
    }
    if (stackmem_take(size, &mem) < 0)
        return NULL;
    return Py_BuildValue("Nn", PyLong_FromVoidPtr(mem.low - STACKMEM_GUARD),
                         (Py_ssize_t)(mem.high - mem.low + STACKMEM_GUARD));
}

/* give_stack(address): what take_stack returned. */
PyObject *
give_stack(PyObject *Py_UNUSED(module), PyObject *address)
{
    stackmem mem;
    char *base = PyLong_AsVoidPtr(address);
    if (base == NULL && PyErr_Occurred())
        return NULL;
    int busy = in_use != NULL ? PySet_Contains(in_use, address) : 0;
    if (busy < 0)
        return NULL;
    if (busy || stackmem_find(base, &mem) < 0) {
        PyErr_Format(PyExc_ValueError,
                     busy ? "a job's stack is at %R" : "no stack of pausable's begins at %R", address);
        return NULL;
    }
    stackmem_give(&mem);
    Py_RETURN_NONE;
}
