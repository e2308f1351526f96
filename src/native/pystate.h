/* What CPython keeps in the thread state but belongs to a call stack: saved and loaded at a switch.
 *
 * Rules:
 * - One block for each minor version; an unknown one is refused at compile time. What has to be
 *   exchanged changes with every minor: read struct _ts of the new one field by field, and run
 *   tests/native/mutate.py on it.
 * - Only fields of the public struct _ts, and no frame's inside.
 * - Recursion is kept as a depth, for sys.setrecursionlimit may be called while a job is paused.
 *   The C levels of 3.12 and 3.13 are kept as they are: they count down to the end of their stack.
 * - `exc_info` points into the stack that it belongs to, so exc_state needs no copy.
 * - The context's version has to change with the context: context variables cache by it.
 * - `headroom` is set while an exception is being made, which may call an __init__. An overflow is a
 *   fatal error then, for whoever runs meanwhile.
 * - tracing and its event: a job may be paused inside a trace function, whose caller would take
 *   the other side's event for its own (a crash on 3.13).
 */
#ifndef PAUSABLE_PYSTATE_H
#define PAUSABLE_PYSTATE_H

#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "pausable._native needs the GIL; on free-threaded builds jobs run on greenlet"
#endif

/* How many calls are left. Never less than none, although the limit may have been lowered while the
 * job was paused: the interpreter takes much less for an overflow in an overflow, and gives up. */
static inline int
pystate_room(int limit, int depth)
{
    return depth < limit ? limit - depth : 0;
}

/* What a level of recursion in C may take, from 3.12 on, where these are counted apart. Most take less
 * than 1 KiB; list.sort, with its buffer, is the worst known: 5 KiB for two levels. */
#define PYSTATE_LEVEL_BYTES 2560

/* ---------------------------------------------------------------------------- CPython 3.11 -- */
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000

typedef struct {
    _PyCFrame *cframe;
    int depth;
    int trash; /* how deep deallocations nest */
    int event;
} pystate_minor;

typedef struct {
    _PyCFrame cframe;
    _PyErr_StackItem exc;
} pystate_root;

static inline void
pystate_minor_save(PyThreadState *ts, pystate_minor *to)
{
    to->cframe = ts->cframe;
    to->depth = ts->recursion_limit - ts->recursion_remaining;
    to->trash = ts->trash_delete_nesting;
    to->event = ts->tracing_what;
}

static inline void
pystate_minor_load(PyThreadState *ts, const pystate_minor *from, int tracing_before, int tracing)
{
    /* Whether the interpreter loop traces is noted in each cframe. Tracing is the thread's and goes
     * on across a switch, unless one of the sides is inside a trace function. */
    if (__builtin_expect((tracing_before | tracing) == 0, 1))
        from->cframe->use_tracing = ts->cframe->use_tracing;
    else
        from->cframe->use_tracing =
            (tracing == 0 && (ts->c_tracefunc != NULL || ts->c_profilefunc != NULL)) ? 255 : 0;
    ts->cframe = from->cframe;
    ts->recursion_remaining = pystate_room(ts->recursion_limit, from->depth);
    ts->trash_delete_nesting = from->trash;
    ts->tracing_what = from->event;
}

static inline void
pystate_minor_new(pystate_minor *state, pystate_root *root, Py_ssize_t stack_bytes)
{
    (void)stack_bytes; /* one counter bounds calls in Python and in C */
    state->cframe = &root->cframe;
}

/* Whether a start would be one call too many. */
static inline int
pystate_is_full(PyThreadState *ts)
{
    return ts->recursion_remaining <= 0;
}

/* A call begins on the stack: like a plain call where recursion and tracing are concerned. */
static inline void
pystate_minor_begin(PyThreadState *ts, pystate_minor *state)
{
    state->depth = ts->recursion_limit - ts->recursion_remaining + 1;
    state->trash = 0;
    state->event = ts->tracing_what;
}

typedef _PyCFrame *pystate_frames;

static inline pystate_frames
pystate_frames_swap(PyThreadState *ts, pystate_frames frames)
{
    pystate_frames before = ts->cframe;
    ts->cframe = frames;
    return before;
}

#define PYSTATE_FRAMES(state) ((state)->minor.cframe)

/* ---------------------------------------------------------------------------- CPython 3.12 -- */
#elif PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000

typedef struct {
    _PyCFrame *cframe;
    int depth;
    int c_remaining;
    int c_limit;
    int trash;
    int event;
} pystate_minor;

typedef struct {
    _PyCFrame cframe;
    _PyErr_StackItem exc;
} pystate_root;

static inline void
pystate_minor_save(PyThreadState *ts, pystate_minor *to)
{
    to->cframe = ts->cframe;
    to->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    to->c_remaining = ts->c_recursion_remaining;
    to->trash = ts->trash.delete_nesting;
    to->event = ts->what_event;
}

static inline void
pystate_minor_load(PyThreadState *ts, const pystate_minor *from, int tracing_before, int tracing)
{
    (void)tracing_before;
    (void)tracing;
    ts->cframe = from->cframe;
    ts->py_recursion_remaining = pystate_room(ts->py_recursion_limit, from->depth);
    ts->c_recursion_remaining = from->c_remaining;
    ts->trash.delete_nesting = from->trash;
    ts->what_event = from->event;
}

static inline void
pystate_minor_new(pystate_minor *state, pystate_root *root, Py_ssize_t stack_bytes)
{
    Py_ssize_t levels = stack_bytes / PYSTATE_LEVEL_BYTES;
    state->cframe = &root->cframe;
    state->c_limit = levels < C_RECURSION_LIMIT ? (int)levels : C_RECURSION_LIMIT;
}

static inline int
pystate_is_full(PyThreadState *ts)
{
    return ts->py_recursion_remaining <= 0;
}

static inline void
pystate_minor_begin(PyThreadState *ts, pystate_minor *state)
{
    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining + 1;
    state->c_remaining = state->c_limit;
    state->trash = 0;
    state->event = ts->what_event;
}

typedef _PyCFrame *pystate_frames;

static inline pystate_frames
pystate_frames_swap(PyThreadState *ts, pystate_frames frames)
{
    pystate_frames before = ts->cframe;
    ts->cframe = frames;
    return before;
}

#define PYSTATE_FRAMES(state) ((state)->minor.cframe)

/* ---------------------------------------------------------------------------- CPython 3.13 -- */
#elif PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000

typedef struct {
    struct _PyInterpreterFrame *frame;
    int depth;
    int c_remaining;
    int c_limit;
    int event;
} pystate_minor;

typedef struct {
    _PyErr_StackItem exc;
} pystate_root;

static inline void
pystate_minor_save(PyThreadState *ts, pystate_minor *to)
{
    to->frame = ts->current_frame;
    to->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    to->c_remaining = ts->c_recursion_remaining;
    to->event = ts->what_event;
}

static inline void
pystate_minor_load(PyThreadState *ts, const pystate_minor *from, int tracing_before, int tracing)
{
    (void)tracing_before;
    (void)tracing;
    ts->current_frame = from->frame;
    ts->py_recursion_remaining = pystate_room(ts->py_recursion_limit, from->depth);
    ts->c_recursion_remaining = from->c_remaining;
    ts->what_event = from->event;
}

static inline void
pystate_minor_new(pystate_minor *state, pystate_root *root, Py_ssize_t stack_bytes)
{
    Py_ssize_t levels = stack_bytes / PYSTATE_LEVEL_BYTES;
    (void)root;
    state->frame = NULL;
    state->c_limit = levels < Py_C_RECURSION_LIMIT ? (int)levels : Py_C_RECURSION_LIMIT;
}

static inline int
pystate_is_full(PyThreadState *ts)
{
    return ts->py_recursion_remaining <= 0;
}

static inline void
pystate_minor_begin(PyThreadState *ts, pystate_minor *state)
{
    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining + 1;
    state->c_remaining = state->c_limit;
    state->event = ts->what_event;
}

typedef struct _PyInterpreterFrame *pystate_frames;

static inline pystate_frames
pystate_frames_swap(PyThreadState *ts, pystate_frames frames)
{
    pystate_frames before = ts->current_frame;
    ts->current_frame = frames;
    return before;
}

#define PYSTATE_FRAMES(state) ((state)->minor.frame)

#else
#error "pausable._native knows CPython 3.11 to 3.13; on others jobs run on greenlet"
#endif

/* ------------------------------------------------------------------- the same in all of them -- */

typedef struct {
    pystate_minor minor;
    _PyStackChunk *chunk; /* where frames of Python functions live */
    PyObject **top, **limit;
    _PyErr_StackItem *exc_info;
    PyObject *context; /* owned while the stack is set aside */
    int tracing;
    int headroom;
} pystate;

/* Set the interpreter's idea of this stack aside, and load that of another. */
static inline __attribute__((always_inline)) void
pystate_swap(PyThreadState *ts, pystate *from, pystate *to)
{
    PyObject *context = ts->context;
    pystate_minor_save(ts, &from->minor);
    from->chunk = ts->datastack_chunk;
    from->top = ts->datastack_top;
    from->limit = ts->datastack_limit;
    from->exc_info = ts->exc_info;
    from->tracing = ts->tracing;
    from->headroom = ts->recursion_headroom;
    from->context = context;

    pystate_minor_load(ts, &to->minor, from->tracing, to->tracing);
    ts->datastack_chunk = to->chunk;
    ts->datastack_top = to->top;
    ts->datastack_limit = to->limit;
    ts->exc_info = to->exc_info;
    ts->tracing = to->tracing;
    ts->recursion_headroom = to->headroom;
    if (context != to->context) {
        ts->context = to->context;
        ts->context_ver++;
    }
}

/* Make the state of a stack that nothing has run on. `chunk` to `end`: where its frames may live. */
static inline void
pystate_new(pystate *state, pystate_root *root, void *chunk, void *end, Py_ssize_t stack_bytes)
{
    _PyStackChunk *first = chunk;
    memset(state, 0, sizeof *state);
    memset(root, 0, sizeof *root);
    first->previous = NULL;
    first->size = (size_t)((char *)end - (char *)chunk);
    first->top = 0;
    state->chunk = first;
    state->top = &first->data[1]; /* the interpreter skips the first slot of a root chunk too */
    state->limit = (PyObject **)end;
    state->exc_info = &root->exc;
    pystate_minor_new(&state->minor, root, stack_bytes);
}

static inline void
pystate_begin(PyThreadState *ts, pystate *state)
{
    pystate_minor_begin(ts, &state->minor);
    state->tracing = ts->tracing;
    state->headroom = 0;
}

/* ------------------------------------------------------------------------------------ contexts -- */

/* The beginning of a Context, the same in all of them. There is no public way to tell cheaply that
 * a context has not changed: `vars` is immutable and exchanged whenever a variable is set. That it
 * is where this says is checked when the module is imported (module.c). */
typedef struct {
    PyObject_HEAD
    PyObject *previous;
    PyObject *vars;
    PyObject *weakrefs;
    int entered;
} pystate_context;

static inline PyObject *
pystate_context_vars(PyObject *context)
{
    return ((pystate_context *)context)->vars;
}

/* Give a context what another has in it; mostly it has that already, for both are empty. */
static inline void
pystate_set_context_vars(PyObject *context, PyObject *vars)
{
    PyObject **at = &((pystate_context *)context)->vars;
    if (*at != vars)
        Py_SETREF(*at, Py_NewRef(vars));
}

#endif
