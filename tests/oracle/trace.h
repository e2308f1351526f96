/* The lines of a trace. */
#ifndef TRACE_H
#define TRACE_H

#include "world.h"

__attribute__((format(printf, 3, 4)))
void answer(const Frame *frame, const Step *step, const char *format, ...);
void answer_nothing(const Frame *frame, const Step *step);
_Noreturn void undefined(const Frame *frame, const Step *step, const char *why);

const char *or_null(const char *word);             /* to print: NULL as "NULL" */
const char *pointer(const Step *step, size_t i); /* operand i, NULL when "null" or not given */

#endif
