/* What libcrypto's own jobs (ASYNC_start_job, ASYNC_pause_job) cost.
 *
 * Reads lines "WHAT COUNT" and answers each with one number: for start_finish, full and pair the ns
 * that COUNT operations took, for memory the KB of resident memory for each of COUNT paused jobs.
 * So whoever asks can take turns with others. Ends with its input. */
#include <openssl/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ASYNC_WAIT_CTX *ctx;

static int nothing(void *arg)
{
    (void)arg;
    return 1;
}

static int once(void *arg)
{
    (void)arg;
    ASYNC_pause_job();
    return 1;
}

static int for_ever(void *arg)
{
    (void)arg;
    for (;;)
        ASYNC_pause_job();
    return 1;
}

static void step(ASYNC_JOB **job, int (*func)(void *), int expected)
{
    int result = 0;

    if (ASYNC_start_job(job, ctx, &result, func, NULL, 0) != expected) {
        fprintf(stderr, "ASYNC_start_job did not return %d\n", expected);
        exit(1);
    }
}

static void start_finish(long count)
{
    while (count-- > 0) {
        ASYNC_JOB *job = NULL;

        step(&job, nothing, ASYNC_FINISH);
    }
}

static void full(long count)
{
    while (count-- > 0) {
        ASYNC_JOB *job = NULL;

        step(&job, once, ASYNC_PAUSE);
        step(&job, once, ASYNC_FINISH);
    }
}

static void pair(long count)
{
    static ASYNC_JOB *job; /* stays paused: jobs of libcrypto cannot be closed */

    while (count-- > 0)
        step(&job, for_ever, ASYNC_PAUSE);
}

static double resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024.0);
}

static double memory(long count)
{
    double before;

    start_finish(100);
    before = resident_kb();
    for (long i = 0; i < count; i++) {
        ASYNC_JOB *job = NULL; /* nobody goes on with it */

        step(&job, once, ASYNC_PAUSE);
    }
    return (resident_kb() - before) / count;
}

static double ns(void (*loop)(long), long count)
{
    struct timespec begin, end;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    loop(count);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec);
}

int main(void)
{
    char what[32];
    long count;

    if (!ASYNC_is_capable()) {
        fprintf(stderr, "this libcrypto has no jobs (no-async)\n");
        return 1;
    }
    ctx = ASYNC_WAIT_CTX_new();
    while (scanf("%31s %ld", what, &count) == 2) {
        if (strcmp(what, "start_finish") == 0)
            printf("%.0f\n", ns(start_finish, count));
        else if (strcmp(what, "full") == 0)
            printf("%.0f\n", ns(full, count));
        else if (strcmp(what, "pair") == 0)
            printf("%.0f\n", ns(pair, count));
        else if (strcmp(what, "memory") == 0)
            printf("%.3f\n", memory(count));
        else
            return 2;
        fflush(stdout);
    }
    ASYNC_WAIT_CTX_free(ctx);
    return 0;
}
