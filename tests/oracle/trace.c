/* The lines of a trace.
 *
 * - A line is printed once its operation has returned; what bodies and routines print comes first.
 * - Every printed line empties its thread's error queue.
 * - undefined() ends the process before libcrypto is touched.
 */
#include "trace.h"

#include "ops.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_operation(const Frame *frame, const Step *step)
{
    if (frame->thread->name != NULL)
        printf("%s/", frame->thread->name);
    printf("%s:", frame->who);
    for (size_t i = 0; i < step->count; i++)
        printf(" %s", step->words[i]);
}

static void print_errors(void)
{
    const char *before = " err=[";
    unsigned long code;
    for (; (code = ERR_get_error()) != 0; before = "; ") {
        const char *library = ERR_lib_error_string(code);
        const char *reason = ERR_reason_error_string(code);
        int length = library == NULL ? 0 : (int)strcspn(library, " "); /* "ASYNC routines" */
        printf("%s%.*s:%s", before, length, library, reason == NULL ? "?" : reason);
    }
    if (*before == ';')
        putchar(']');
}

void answer(const Frame *frame, const Step *step, const char *format, ...)
{
    if (step->quiet)
        return;
    print_operation(frame, step);
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    print_errors();
    putchar('\n');
}

void answer_nothing(const Frame *frame, const Step *step)
{
    answer(frame, step, "%s", "");
}

_Noreturn void undefined(const Frame *frame, const Step *step, const char *why)
{
    print_operation(frame, step);
    printf(" -> UNDEFINED %s\n", why);
    fflush(stdout);
    _exit(STOPPED_UNDEFINED);
}

const char *or_null(const char *word)
{
    return word == NULL ? "NULL" : word;
}

/* A pointer operand: the interned word itself, or NULL. */
const char *pointer(const Step *step, size_t i)
{
    return i >= step->count || word_is_null(step->words[i]) ? NULL : step->words[i];
}
