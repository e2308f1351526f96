/* Parser of the scenario language.
 *
 * - Whatever can be known before running is checked here: operations, operand counts, numbers,
 *   function names. Names that exist only at run time (contexts, buffers, ...) are not.
 * - Functions may be used before they are defined.
 * - Every word is interned: equal words are equal pointers, as the keys of OpenSSL's lists need.
 */
#include "script.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 64, BUCKETS = 512 };

typedef struct {
    const Operation *operations;
    int line;
    Body main;
    Body *functions;
    Body *open; /* the body the next step goes to */
} Parser;

typedef struct Word {
    const char *text;
    struct Word *next;
} Word;

static Word *words[BUCKETS];

_Noreturn static void syntax_error(int line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "line %d: ", line);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(SYNTAX_ERROR);
}

static void *grown(void *array, size_t size_bytes)
{
    void *bigger = realloc(array, size_bytes);
    if (bigger == NULL)
        abort();
    return bigger;
}

static const char *intern(const char *text)
{
    unsigned hash = 5381;
    for (const char *at = text; *at != '\0'; at++)
        hash = hash * 33 + (unsigned char)*at;
    Word **bucket = &words[hash % BUCKETS];
    for (const Word *word = *bucket; word != NULL; word = word->next)
        if (strcmp(word->text, text) == 0)
            return word->text;
    Word *word = grown(NULL, sizeof *word);
    *word = (Word){text, *bucket};
    *bucket = word;
    return text;
}

bool word_is_null(const char *word)
{
    return strcmp(word, "null") == 0;
}

static bool parse_int(const char *word, int *value)
{
    char *end;
    errno = 0;
    long number = strtol(word, &end, 10);
    *value = (int)number;
    return end != word && *end == '\0' && errno == 0 && number >= INT_MIN && number <= INT_MAX;
}

static bool parse_size(const char *word, size_t *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(word, &end, 10);
    *value = (size_t)number;
    return *word != '-' && end != word && *end == '\0' && errno == 0 && number <= SIZE_MAX;
}

int word_int(const char *word)
{
    int value = 0;
    parse_int(word, &value);
    return value;
}

size_t word_size(const char *word)
{
    size_t value = 0;
    parse_size(word, &value);
    return value;
}

static size_t split(const Parser *parser, char *text, const char **into)
{
    size_t count = 0;
    char *rest = NULL, *at = text;
    for (; (at = strtok_r(at, " \t\r", &rest)) != NULL; at = NULL) {
        if (*at == '#')
            break;
        if (count == MAX_WORDS)
            syntax_error(parser->line, "more than %d words", MAX_WORDS);
        into[count++] = intern(at);
    }
    return count;
}

static Body *find_function(const Parser *parser, const char *name)
{
    Body *body = parser->functions;
    while (body != NULL && body->name != name)
        body = body->next;
    return body;
}

static void open_function(Parser *parser, const char *name)
{
    if (parser->open != &parser->main)
        syntax_error(parser->line, "func inside func");
    if (find_function(parser, name) != NULL)
        syntax_error(parser->line, "func %s is defined twice", name);
    Body *body = grown(NULL, sizeof *body);
    *body = (Body){.name = name, .next = parser->functions};
    parser->functions = parser->open = body;
}

static const Operation *find_operation(const Parser *parser, const char *name)
{
    for (const Operation *operation = parser->operations; operation->name != NULL; operation++)
        if (strcmp(operation->name, name) == 0)
            return operation;
    syntax_error(parser->line, "unknown operation %s", name);
}

static void check_operand(int line, char kind, const char *word)
{
    int number;
    size_t size;
    if (kind == 'i' && !parse_int(word, &number))
        syntax_error(line, "%s is not an int", word);
    if (kind == 'z' && !parse_size(word, &size))
        syntax_error(line, "%s is not a size", word);
}

static void check_operands(const Step *step)
{
    const char *kind = step->operation->operands;
    bool optional = false;
    for (size_t i = 1; i < step->count; i++) {
        if (*kind == '?') {
            optional = true;
            kind++;
        }
        if (*kind == '*')
            return;
        if (*kind == '\0')
            syntax_error(step->line, "%s: too many operands", step->words[0]);
        check_operand(step->line, *kind++, step->words[i]);
    }
    if (!optional && *kind != '\0' && *kind != '?' && *kind != '*')
        syntax_error(step->line, "%s: too few operands", step->words[0]);
}

static void add_step(Parser *parser, const char **given, size_t count)
{
    Step step = {.line = parser->line};
    for (; count > 0; given++, count--) {
        if (strcmp(*given, "q") == 0 && !step.quiet)
            step.quiet = true;
        else if (**given == '@' && (*given)[1] != '\0' && step.thread == NULL)
            step.thread = intern(*given + 1);
        else
            break;
    }
    if (count == 0)
        syntax_error(parser->line, "operation missing");
    step.operation = find_operation(parser, *given);
    step.count = count;
    step.words = grown(NULL, count * sizeof *given);
    memcpy(step.words, given, count * sizeof *given);
    check_operands(&step);
    if (step.thread != NULL && (strcmp(*given, "ret") == 0 || strcmp(step.thread, "main") == 0))
        syntax_error(parser->line, "@%s %s means nothing", step.thread, *given);

    Body *body = parser->open;
    body->steps = grown(body->steps, (body->count + 1) * sizeof step);
    body->steps[body->count++] = step;
}

static void parse_line(Parser *parser, char *text)
{
    const char *given[MAX_WORDS];
    size_t count = split(parser, text, given);
    if (count == 0)
        return;
    if (strcmp(given[0], "func") == 0) {
        if (count != 2)
            syntax_error(parser->line, "func NAME");
        open_function(parser, given[1]);
    } else if (strcmp(given[0], "end") == 0) {
        if (count != 1 || parser->open == &parser->main)
            syntax_error(parser->line, "end without func");
        parser->open = &parser->main;
    } else {
        add_step(parser, given, count);
    }
}

static void link_functions(const Parser *parser, const Body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        Step *step = &body->steps[i];
        const char *found = strpbrk(step->operation->operands, "fF");
        if (found == NULL)
            continue;
        const char *name = step->words[found - step->operation->operands + 1];
        step->body = find_function(parser, name);
        if (step->body == NULL && !(*found == 'F' && word_is_null(name)))
            syntax_error(step->line, "no func %s", name);
    }
}

const Body *parse_script(char *text, const Operation *operations)
{
    static Parser parser;
    parser = (Parser){.operations = operations, .main = {.name = "main"}, .open = &parser.main};
    for (char *line = text; line != NULL;) {
        char *newline = strchr(line, '\n');
        if (newline != NULL)
            *newline = '\0';
        parser.line++;
        parse_line(&parser, line);
        line = newline == NULL ? NULL : newline + 1;
    }
    if (parser.open != &parser.main)
        syntax_error(parser.line, "func %s has no end", parser.open->name);
    link_functions(&parser, &parser.main);
    for (const Body *body = parser.functions; body != NULL; body = body->next)
        link_functions(&parser, body);
    return &parser.main;
}
