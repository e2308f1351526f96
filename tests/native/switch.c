/* The switch of C stacks by itself: no Python. Exits with 0 if registers, stacks and the floating-point
 * control belong to each side; and if a side that has ended begins anew with the other's. */
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include "switch_x86_64.h"
#else
#include "switch_aarch64.h"
#endif

SWITCH_DEFINE_BEGIN

#define SIDES 3
#define TURNS 100000L

typedef struct {
    void *own, *back;
    long sum;
    double product;
    int rounding, begun_with, ends, wrong;
} side;

__attribute__((visibility("hidden"))) void pausable_stack_begin(void);
__attribute__((noreturn, used, visibility("hidden"))) void pausable_stack_main(side *self);

void
pausable_stack_main(side *self)
{
    double product = 1.5;
    fesetround(self->rounding);
    for (long i = 0;; i++) {
        self->sum += i;
        product *= 1.0000001;
        self->product = product;
        if (self->ends) {
            switch_stack_at_end(&self->own, self->back);
            self->wrong += fegetround() != self->begun_with;
            fesetround(self->rounding);
        }
        else {
            switch_stack(&self->own, self->back);
            self->wrong += fegetround() != self->rounding;
        }
    }
}

int
main(void)
{
    static const int rounding[SIDES] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    side sides[SIDES];
    volatile double factor = 2.25;
    double sum = 0;
    int wrong = 0;
    memset(sides, 0, sizeof sides);
    for (int n = 0; n < SIDES; n++) {
        char *stack = aligned_alloc(4096, 65536);
        sides[n].rounding = rounding[n];
        sides[n].ends = n == SIDES - 1;
        sides[n].own = switch_prepare(stack + 65536, &sides[n], pausable_stack_begin);
    }
    for (long i = 0; i < TURNS; i++)
        for (int n = 0; n < SIDES; n++) {
            double mine = factor * (double)i;
            sides[n].begun_with = i % 2 ? FE_UPWARD : FE_TONEAREST;
            fesetround(sides[n].begun_with);
            switch_stack(&sides[n].back, sides[n].own);
            wrong += fegetround() != sides[n].begun_with;
            fesetround(FE_TONEAREST);
            sum += mine;
        }
    for (int n = 0; n < SIDES; n++)
        wrong += sides[n].wrong + (sides[n].sum != (TURNS - 1) * TURNS / 2);
    wrong += sum != SIDES * 2.25 * ((TURNS - 1.0) * TURNS / 2);
    wrong += !(sides[0].product < sides[1].product); /* rounded down, rounded up */
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
