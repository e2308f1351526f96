/* Run scripts of the scenario language on the installed libcrypto and print their traces.
 *
 *     driver < SCRIPTS > TRACES        several: separated by lines "%%", there and here
 *     driver --version                 libcrypto's
 *
 * - Every script runs in its own child: a crash or a hang is its trace's last line.
 * - What OpenSSL leaves undefined is not attempted: the trace ends with
 *   "WHO: OP -> UNDEFINED why" (printed even under q), without END.
 * - A syntax error is told on stderr, with exit code 2; nothing more is run.
 *
 * Forms that none of the recorded traces shows (the Python interpreter prints the same):
 * - "call g" prints g's lines as "g: ...", then "f: call g -> N", N being what g's body returned.
 *   "ret" ends the innermost body only; in the main program it ends the program (END follows).
 * - "q OP" hides OP's own line; lines of bodies and routines that it runs are printed as ever.
 *   "q" and "@T" may come in either order and are not repeated in the line.
 * - without result: "slotcopy D S", "ids on", "ids off".  ok: "newlib L", "setlib L".
 *   "getlib -> L" or "-> global".
 * - "callcb C -> 0" when no callback is set.
 * - "arg -> NULL" outside jobs.  "start j c f ARG SIZE" may cut the argument: "arg -> 'hel'".
 * - "iscurrent S" compares addresses: NULL equals NULL, and a finished job's handle equals the
 *   job that now runs on the same object. "slot S" of such a handle is JOB, or its job#K.
 * - K of job#K counts the job objects in the order in which they are first *printed* while ids
 *   are on. A new object never gets an old number, even after a cleanup.
 * - "freectx @" and "setcb @" are allowed, and stand for null in a job without context.
 * - an error queue keeps the 15 newest errors, as libcrypto does.
 * Beyond OpenSSL's own, these are UNDEFINED: names not created or (newctx, newlib) created twice;
 * bytes outside an argument or a buffer; SIZE beyond the argument; "@T" or "join T" while T
 * waits for another thread; join of no thread; calls nested deeper than 16; any use of a
 * finished job's handle but slot, iscurrent, slotcopy, slotnull; waitctx when the context has
 * been freed. Defined: waitctx of a paused job from another thread or after a cleanup; init in a
 * job; freeing a context in its job, as long as the job is not resumed afterwards.
 */
#include "ops.h"
#include "stacks.h"
#include "threads.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_S = 5 };

static char *read_all(FILE *file)
{
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    for (size_t got; text != NULL && (got = fread(text + size, 1, room - 1 - size, file)) > 0;) {
        size += got;
        if (size == room - 1)
            text = realloc(text, room *= 2);
    }
    if (text == NULL)
        abort();
    text[size] = '\0';
    return text;
}

/* Cut the text at its first line "%%"; the rest, or NULL. */
static char *next_script(char *text)
{
    for (char *line = text; line != NULL;) {
        char *newline = strchr(line, '\n');
        if (strncmp(line, "%%", 2) == 0 && (line[2] == '\n' || line[2] == '\0')) {
            *line = '\0';
            return newline == NULL ? line + 2 : newline + 1;
        }
        line = newline == NULL ? NULL : newline + 1;
    }
    return NULL;
}

_Noreturn static void run_script(char *text)
{
    alarm(HANG_S);
    const Body *program = parse_script(text, operations);
    Frame frame = {.thread = this_thread(), .who = "main"};
    run_body(&frame, program);
    printf("END\n");
    fflush(stdout);
    _exit(RAN_TO_END); /* no atexit: threads and paused jobs are still there */
}

static const char *signal_name(int signal)
{
    switch (signal) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGABRT:
        return "SIGABRT";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    default:
        return strsignal(signal);
    }
}

static void print_end(int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("*** HANG\n");
    else if (WIFSIGNALED(status))
        printf("*** CRASH %s\n", signal_name(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == SYNTAX_ERROR)
        exit(SYNTAX_ERROR);
    else if (WEXITSTATUS(status) != RAN_TO_END && WEXITSTATUS(status) != STOPPED_UNDEFINED)
        printf("*** EXITED EARLY\n");
    fflush(stdout);
}

static void run_in_child(char *text)
{
    pid_t child = fork();
    if (child == 0)
        run_script(text);
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    print_end(status);
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "--version") == 0) {
        puts(OpenSSL_version(OPENSSL_VERSION));
        return 0;
    }
    if (!stacks_watch() || !OPENSSL_init_crypto(0, NULL)) {
        fprintf(stderr, "libcrypto allocated before main: its stacks cannot be counted\n");
        return EXIT_FAILURE;
    }
    setvbuf(stdout, NULL, _IOLBF, 1 << 16); /* a crash must not lose lines */
    for (char *script = read_all(stdin); script != NULL;) {
        char *rest = next_script(script);
        run_in_child(script);
        if (rest != NULL) {
            printf("%%%%\n");
            fflush(stdout);
        }
        script = rest;
    }
    return 0;
}
