/* The operations: each performs its calls, then prints its one line.
 *
 * - Bodies run on libcrypto's 32 KiB fibre stacks: small frames, bounded calls.
 * - Nothing here decides what is undefined in OpenSSL; world.c does.
 */
#include "ops.h"

#include "stacks.h"
#include "threads.h"
#include "trace.h"
#include "wait_ctx_ops.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CALL_DEPTH = 16, JOB_TEXT = 24, UNWRITTEN = 0x5eed5eed };

/* ---- threads and pools ---- */

static void op_init(Frame *frame, const Step *step)
{
    int done = ASYNC_init_thread(word_size(step->words[1]), word_size(step->words[2]));
    answer(frame, step, " -> %d", done);
}

static void op_cleanup(Frame *frame, const Step *step)
{
    if (frame->job != NULL)
        undefined(frame, step, "cleanup inside a job");
    ASYNC_cleanup_thread();
    frame->thread->epoch++;
    answer(frame, step, " -> ok");
}

static void op_capable(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %d", ASYNC_is_capable());
}

static void op_live(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %d", stacks_live());
}

static void op_join(Frame *frame, const Step *step)
{
    Thread *thread = thread_named(step->words[1]);
    if (thread == NULL)
        undefined(frame, step, "no such thread");
    if (thread->step != NULL)
        undefined(frame, step, "the thread is busy");
    thread_end(thread);
    answer(frame, step, " -> ok");
}

/* ---- jobs ---- */

static int job_main(void *args)
{
    Thread *thread = this_thread();
    const Start start = *thread->starting;
    Job *job = job_of(ASYNC_get_current_job());
    job->resumed = false;
    job->home = thread;
    job->epoch = thread->epoch;
    job->context = start.context;
    job->args = args;
    job->size = args == NULL ? 0 : start.size;
    thread->running = job;

    Frame frame = {.thread = thread, .who = start.body->name, .job = job};
    run_body(&frame, start.body);
    job->run++;
    return frame.ret;
}

/* The ARG and SIZE of a start that begins a job. */
static const void *start_argument(const Frame *frame, const Step *step, size_t *size)
{
    const char *word = pointer(step, 4);
    const Buffer *buffer = word == NULL ? NULL : buffer_named(word);
    const char *bytes = buffer == NULL ? word : buffer->bytes;
    size_t length = buffer != NULL ? buffer->size : word == NULL ? 0 : strlen(word);
    *size = step->count > 5 ? word_size(step->words[5]) : length;
    if (bytes != NULL && *size > length)
        undefined(frame, step, "SIZE is more than the argument has");
    return bytes;
}

static Context *start_context(const Frame *frame, const Step *step)
{
    const char *name = pointer(step, 2);
    if (name == NULL)
        return NULL;
    Context *context = context_named(name);
    if (context == NULL)
        undefined(frame, step, "no such wait context");
    if (context->freed)
        undefined(frame, step, "the wait context was freed");
    return context;
}

/* Before the reference releases an argument of size 0 was refused: not this script's business. */
static bool is_old_size_zero(int result, const void *args, size_t size)
{
    return result == ASYNC_ERR && args != NULL && size == 0 && ERR_peek_error() != 0;
}

static void answer_start(const Frame *frame, const Step *step, int result, int ret)
{
    static const char *const names[] = {"ERR", "NO_JOBS", "PAUSE", "FINISH"};
    const Slot *slot = slot_named(step->words[1]);
    char space[JOB_TEXT], value[JOB_TEXT] = "";
    if (result == ASYNC_FINISH)
        snprintf(value, sizeof value, " ret=%d", ret);
    const char *job = step->quiet ? "" : job_text(slot->real, space, sizeof space);
    if (result != ASYNC_FINISH && ret != UNWRITTEN)
        answer(frame, step, " -> %s %s=%s retset=%d", names[result], slot->name, job, ret);
    else
        answer(frame, step, " -> %s%s %s=%s", names[result], value, slot->name, job);
}

static void op_start(Frame *frame, const Step *step)
{
    Slot *slot = slot_named(step->words[1]);
    const char *why = start_refusal(frame, slot);
    if (why != NULL)
        undefined(frame, step, why);

    Start start = {.body = step->body};
    const void *args = NULL;
    Thread *thread = frame->thread;
    Job *outer = thread->running;
    if (slot->real != NULL) {
        slot->job->resumed = true;
        thread->running = slot->job;
    } else if (frame->job == NULL) {
        if (step->body == NULL)
            undefined(frame, step, "start without function");
        start.context = start_context(frame, step);
        args = start_argument(frame, step, &start.size);
        thread->starting = &start;
    }
    int ret = UNWRITTEN;
    ASYNC_WAIT_CTX *context = start.context == NULL ? NULL : start.context->real;
    int result = ASYNC_start_job(&slot->real, context, &ret, job_main, (void *)args, start.size);
    thread->running = outer;
    slot_settle(slot);
    if (is_old_size_zero(result, args, start.size))
        undefined(frame, step, "this release refuses SIZE 0");
    answer_start(frame, step, result, ret);
}

static void op_pause(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %d", ASYNC_pause_job());
}

static void op_block(Frame *frame, const Step *step)
{
    ASYNC_block_pause();
    answer(frame, step, " -> ok");
}

static void op_unblock(Frame *frame, const Step *step)
{
    ASYNC_unblock_pause();
    answer(frame, step, " -> ok");
}

static void op_ret(Frame *frame, const Step *step)
{
    frame->returned = true;
    frame->ret = word_int(step->words[1]);
    answer_nothing(frame, step);
}

static void op_call(Frame *frame, const Step *step)
{
    if (frame->depth == MAX_CALL_DEPTH)
        undefined(frame, step, "calls are nested too deep for a fibre stack");
    Frame inner = *frame;
    inner.who = step->body->name;
    inner.depth++;
    run_body(&inner, step->body);
    answer(frame, step, " -> %d", inner.ret);
}

static void op_say(Frame *frame, const Step *step)
{
    answer_nothing(frame, step);
}

/* ---- handles ---- */

static void answer_job(const Frame *frame, const Step *step, ASYNC_JOB *job)
{
    char space[JOB_TEXT];
    if (!step->quiet)
        answer(frame, step, " -> %s", job_text(job, space, sizeof space));
}

static void op_current(Frame *frame, const Step *step)
{
    answer_job(frame, step, ASYNC_get_current_job());
}

static void op_slot(Frame *frame, const Step *step)
{
    answer_job(frame, step, slot_named(step->words[1])->real);
}

static void op_iscurrent(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %d", slot_named(step->words[1])->real == ASYNC_get_current_job());
}

static void op_slotcopy(Frame *frame, const Step *step)
{
    slot_copy(slot_named(step->words[1]), slot_named(step->words[2]));
    answer_nothing(frame, step);
}

static void op_slotnull(Frame *frame, const Step *step)
{
    Slot *slot = slot_named(step->words[1]);
    slot->real = NULL;
    slot_settle(slot);
    answer_nothing(frame, step);
}

static void op_ids(Frame *frame, const Step *step)
{
    bool on = strcmp(step->words[1], "on") == 0;
    if (!on && strcmp(step->words[1], "off") != 0)
        undefined(frame, step, "neither on nor off");
    show_job_numbers(on);
    answer_nothing(frame, step);
}

/* ---- arguments and buffers ---- */

static char *byte_at(const Frame *frame, const Step *step, char *bytes, size_t size)
{
    size_t at = word_size(step->words[step->count - 2]);
    if (bytes == NULL || at >= size)
        undefined(frame, step, "there is no such byte");
    return bytes + at;
}

static void op_arg(Frame *frame, const Step *step)
{
    const Job *job = frame->job;
    if (job == NULL || job->args == NULL)
        answer(frame, step, " -> NULL");
    else
        answer(frame, step, " -> '%.*s'", (int)job->size, job->args);
}

static void op_setarg(Frame *frame, const Step *step)
{
    const Job *job = frame->job;
    char *bytes = job == NULL ? NULL : job->args;
    *byte_at(frame, step, bytes, bytes == NULL ? 0 : job->size) = *step->words[2];
    answer_nothing(frame, step);
}

static void op_buf(Frame *frame, const Step *step)
{
    buffer_write(step->words[1], step->words[2]);
    answer_nothing(frame, step);
}

static const Buffer *buffer_operand(const Frame *frame, const Step *step)
{
    const Buffer *buffer = buffer_named(step->words[1]);
    if (buffer == NULL)
        undefined(frame, step, "no such buffer");
    return buffer;
}

static void op_poke(Frame *frame, const Step *step)
{
    const Buffer *buffer = buffer_operand(frame, step);
    *byte_at(frame, step, buffer->bytes, buffer->size) = *step->words[3];
    answer_nothing(frame, step);
}

static void op_showbuf(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %s", buffer_operand(frame, step)->bytes);
}

/* ---- default library context ---- */

static void op_newlib(Frame *frame, const Step *step)
{
    if (library_named(step->words[1]) != NULL || strcmp(step->words[1], "global") == 0)
        undefined(frame, step, "a library context of that name exists");
    library_add(step->words[1], OSSL_LIB_CTX_new());
    answer(frame, step, " -> ok");
}

static void op_setlib(Frame *frame, const Step *step)
{
    OSSL_LIB_CTX *real = OSSL_LIB_CTX_get0_global_default();
    if (strcmp(step->words[1], "global") != 0) {
        const Library *library = library_named(step->words[1]);
        if (library == NULL)
            undefined(frame, step, "no such library context");
        real = library->real;
    }
    OSSL_LIB_CTX_set0_default(real);
    answer(frame, step, " -> ok");
}

static void op_getlib(Frame *frame, const Step *step)
{
    answer(frame, step, " -> %s", library_name(OSSL_LIB_CTX_set0_default(NULL)));
}

/* ---- running ---- */

const Operation operations[] = {
    {"init", "zz", op_init},
    {"cleanup", "", op_cleanup},
    {"capable", "", op_capable},
    {"live", "", op_live},
    {"join", "w", op_join},
    {"start", "wwF?wz", op_start},
    {"pause", "", op_pause},
    {"block", "", op_block},
    {"unblock", "", op_unblock},
    {"ret", "i", op_ret},
    {"call", "f", op_call},
    {"say", "*", op_say},
    {"current", "", op_current},
    {"slot", "w", op_slot},
    {"iscurrent", "w", op_iscurrent},
    {"slotcopy", "ww", op_slotcopy},
    {"slotnull", "w", op_slotnull},
    {"ids", "w", op_ids},
    {"arg", "", op_arg},
    {"setarg", "zw", op_setarg},
    {"buf", "ww", op_buf},
    {"poke", "wzw", op_poke},
    {"showbuf", "w", op_showbuf},
    {"waitctx", "w", op_waitctx},
    {"newctx", "w", op_newctx},
    {"freectx", "w", op_freectx},
    {"setfd", "wwi?ww", op_setfd},
    {"clearfd", "ww", op_clearfd},
    {"getfd", "ww", op_getfd},
    {"allfds", "w", op_allfds},
    {"changed", "w", op_changed},
    {"setcb", "www", op_setcb},
    {"getcb", "w", op_getcb},
    {"callcb", "w", op_callcb},
    {"setstatus", "wi", op_setstatus},
    {"getstatus", "w", op_getstatus},
    {"newlib", "w", op_newlib},
    {"setlib", "w", op_setlib},
    {"getlib", "", op_getlib},
    {NULL, NULL, NULL},
};

static void delegate(const Frame *frame, const Step *step)
{
    Thread *thread = thread_named(step->thread);
    if (thread == NULL)
        thread = thread_begin(step->thread);
    else if (thread->step != NULL)
        undefined(frame, step, "the thread is busy");
    thread_run(thread, step);
}

void run_body(Frame *frame, const Body *body)
{
    frame->returned = false;
    frame->ret = 0;
    for (size_t i = 0; i < body->count && !frame->returned; i++) {
        const Step *step = &body->steps[i];
        if (step->thread != NULL)
            delegate(frame, step);
        else
            step->operation->run(frame, step);
    }
}
