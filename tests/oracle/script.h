/* The scenario language, parsed: bodies of steps, every word interned. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Frame Frame;
typedef struct Step Step;
typedef struct Body Body;

/* operands: 'w' word, 'i' int, 'z' size, 'f' function, 'F' function or null;
 * after '?' they are optional; '*' stands for any number of words. */
typedef struct {
    const char *name;
    const char *operands;
    void (*run)(Frame *frame, const Step *step);
} Operation;

struct Step {
    int line;
    bool quiet;         /* q OP */
    const char *thread; /* @T OP, else NULL */
    const Operation *operation;
    size_t count;
    const char **words; /* words[0] is the operation's name */
    const Body *body;   /* the function operand, NULL when there is none or it is "null" */
};

struct Body {
    const char *name;
    size_t count;
    Step *steps;
    Body *next;
};

/* Ends the process with SYNTAX_ERROR and a message on stderr when the text is no script. */
const Body *parse_script(char *text, const Operation *operations);

int word_int(const char *word);
size_t word_size(const char *word);
bool word_is_null(const char *word);

enum { SYNTAX_ERROR = 2 };

#endif
