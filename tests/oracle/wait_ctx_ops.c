/* The operations on wait contexts.
 *
 * - Cleanup and callback routines find the names to print in their own data: one C function each
 *   stands for all the names of a script.
 * - Lists are made on the heap: bodies run on 32 KiB stacks.
 */
#include "wait_ctx_ops.h"

#include "trace.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { NO_FD = INT_MIN };

static Context *own_context(const Frame *frame, const Step *step)
{
    if (frame->job == NULL)
        undefined(frame, step, "no current job");
    if (frame->job->context != NULL && frame->job->context->freed)
        undefined(frame, step, "the job's wait context was freed");
    return context_of(ASYNC_get_wait_ctx(ASYNC_get_current_job()));
}

/* The context operand; NULL is what "null", or "@" in a job without context, stands for. */
static Context *context_or_null(const Frame *frame, const Step *step)
{
    const char *name = step->words[1];
    if (strcmp(name, "@") == 0)
        return own_context(frame, step);
    if (word_is_null(name))
        return NULL;
    Context *context = context_named(name);
    if (context == NULL)
        undefined(frame, step, "no such wait context");
    if (context->freed)
        undefined(frame, step, "the wait context was freed");
    return context;
}

static ASYNC_WAIT_CTX *context_operand(const Frame *frame, const Step *step)
{
    Context *context = context_or_null(frame, step);
    if (context == NULL)
        undefined(frame, step, "NULL wait context");
    return context->real;
}

void op_waitctx(Frame *frame, const Step *step)
{
    const Context *context;
    if (strcmp(step->words[1], "@") == 0) {
        context = own_context(frame, step);
    } else {
        const Slot *slot = slot_named(step->words[1]);
        const char *why = handle_refusal(slot);
        if (why != NULL)
            undefined(frame, step, why);
        context = context_of(ASYNC_get_wait_ctx(slot->real));
    }
    answer(frame, step, " -> %s", context == NULL ? "NULL" : context->name);
}

void op_newctx(Frame *frame, const Step *step)
{
    const Context *old = context_named(step->words[1]);
    if (old != NULL && !old->freed)
        undefined(frame, step, "a wait context of that name exists");
    context_add(step->words[1], ASYNC_WAIT_CTX_new());
    answer(frame, step, " -> ok");
}

void op_freectx(Frame *frame, const Step *step)
{
    Context *context = context_or_null(frame, step);
    if (context != NULL)
        context->freed = true;
    ASYNC_WAIT_CTX_free(context == NULL ? NULL : context->real);
    answer(frame, step, " -> ok");
}

typedef struct {
    const char *data, *cleanup;
} Entry;

static void on_cleanup(ASYNC_WAIT_CTX *real, const void *key, OSSL_ASYNC_FD fd, void *data)
{
    const Entry *entry = data;
    const Context *context = context_of(real);
    printf("*cleanup %s ctx=%s key=%s fd=%d data=%s\n", entry->cleanup,
           context == NULL ? "?" : context->name, or_null(key), fd, or_null(entry->data));
}

void op_setfd(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    bool silent = step->count < 6 || strcmp(step->words[5], "-") == 0;
    Entry *entry = allocated(sizeof *entry);
    *entry = (Entry){pointer(step, 4), silent ? NULL : step->words[5]};
    int done = ASYNC_WAIT_CTX_set_wait_fd(real, pointer(step, 2), word_int(step->words[3]), entry,
                                          silent ? NULL : on_cleanup);
    answer(frame, step, " -> %d", done);
}

void op_clearfd(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    answer(frame, step, " -> %d", ASYNC_WAIT_CTX_clear_fd(real, pointer(step, 2)));
}

void op_getfd(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    OSSL_ASYNC_FD fd = NO_FD;
    void *data = NULL;
    int found = ASYNC_WAIT_CTX_get_fd(real, pointer(step, 2), &fd, &data);
    if (found)
        answer(frame, step, " -> %d fd=%d data=%s", found, fd, or_null(((Entry *)data)->data));
    else if (fd != NO_FD || data != NULL)
        answer(frame, step, " -> %d touched", found);
    else
        answer(frame, step, " -> %d", found);
}

/* Room for more than was announced, so that an overlong list would be seen. */
static OSSL_ASYNC_FD *fd_array(size_t count)
{
    OSSL_ASYNC_FD *fds = allocated((count + 2) * sizeof *fds);
    for (size_t i = 0; i < count + 2; i++)
        fds[i] = NO_FD;
    return fds;
}

/* What has really been written: "10 9 8". */
static const char *fd_text(const OSSL_ASYNC_FD *fds, size_t count)
{
    enum { MAX_INT_TEXT = 12 };
    char *text = allocated((count + 2) * MAX_INT_TEXT), *end = text;
    for (size_t i = 0; i < count + 2; i++)
        if (fds[i] != NO_FD)
            end += sprintf(end, end == text ? "%d" : " %d", fds[i]);
    return text;
}

void op_allfds(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    size_t count = 0, again = 0;
    int counted = ASYNC_WAIT_CTX_get_all_fds(real, NULL, &count);
    OSSL_ASYNC_FD *fds = fd_array(count);
    int listed = ASYNC_WAIT_CTX_get_all_fds(real, fds, &again);
    if (counted != listed || count != again)
        answer(frame, step, " -> forms disagree: %d n=%zu, %d n=%zu", counted, count, listed,
               again);
    else
        answer(frame, step, " -> %d n=%zu [%s]", listed, count, fd_text(fds, count));
}

void op_changed(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    size_t adds = 0, dels = 0;
    ASYNC_WAIT_CTX_get_changed_fds(real, NULL, &adds, NULL, &dels);
    OSSL_ASYNC_FD *added = fd_array(adds), *deleted = fd_array(dels);
    int done = ASYNC_WAIT_CTX_get_changed_fds(real, added, &adds, deleted, &dels);
    answer(frame, step, " -> %d add=%zu[%s] del=%zu[%s]", done, adds, fd_text(added, adds), dels,
           fd_text(deleted, dels));
}

/* ---- callback and status ---- */

typedef struct {
    const char *name, *arg;
} Callback;

static int on_callback(void *arg)
{
    const Callback *callback = arg;
    printf("*callback %s arg=%s\n", callback->name, or_null(callback->arg));
    return (unsigned char)*callback->name;
}

void op_setcb(Frame *frame, const Step *step)
{
    Context *context = context_or_null(frame, step);
    const char *name = pointer(step, 2);
    Callback *callback = allocated(sizeof *callback);
    *callback = (Callback){name, pointer(step, 3)};
    int done = ASYNC_WAIT_CTX_set_callback(context == NULL ? NULL : context->real,
                                           name == NULL ? NULL : on_callback, callback);
    answer(frame, step, " -> %d", done);
}

void op_getcb(Frame *frame, const Step *step)
{
    ASYNC_callback_fn routine = NULL;
    void *arg = NULL;
    int found = ASYNC_WAIT_CTX_get_callback(context_operand(frame, step), &routine, &arg);
    const Callback *callback = arg;
    if (routine == NULL && arg == NULL)
        answer(frame, step, " -> %d cb=- arg=untouched", found);
    else
        answer(frame, step, " -> %d cb=%s arg=%s", found, callback->name, or_null(callback->arg));
}

void op_callcb(Frame *frame, const Step *step)
{
    ASYNC_callback_fn routine = NULL;
    void *arg = NULL;
    if (ASYNC_WAIT_CTX_get_callback(context_operand(frame, step), &routine, &arg))
        answer(frame, step, " -> 1 returned=%d", routine(arg));
    else
        answer(frame, step, " -> 0");
}

void op_setstatus(Frame *frame, const Step *step)
{
    ASYNC_WAIT_CTX *real = context_operand(frame, step);
    answer(frame, step, " -> %d", ASYNC_WAIT_CTX_set_status(real, word_int(step->words[2])));
}

void op_getstatus(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %d", ASYNC_WAIT_CTX_get_status(context_operand(frame, step)));
}
