/* The switch of C stacks on aarch64 (AAPCS64). Assembly only: no interpreter in here.
 *
 * Rules:
 * - Saved are the registers that a callee has to keep (x19-x30, the low halves of v8-v15) and the
 *   floating-point control register, which belongs to the call. A call begins with that of whoever
 *   begins it.
 * - It is a function, not inline: with a link register, a return is predicted well enough.
 */
#ifndef PAUSABLE_SWITCH_H
#define PAUSABLE_SWITCH_H

#include <stdint.h>
#include <string.h>

#define SWITCH_FRAME_WORDS 20

__attribute__((visibility("hidden"))) void pausable_switch_stack(void **save, void *load);

/* As switch_stack, for a stack whose call has ended: the control register stays that of whoever comes
 * back, to begin another. */
static inline __attribute__((always_inline)) void
switch_stack_at_end(void **save, void *load)
{
    pausable_switch_stack(save, load);
}

/* Set this stack aside (its pointer goes to *save) and go on with the one whose pointer is `load`. */
static inline __attribute__((always_inline)) void
switch_stack(void **save, void *load)
{
    uint64_t mine, theirs;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mine));
    switch_stack_at_end(save, load);
    __asm__ volatile("mrs %0, fpcr" : "=r"(theirs));
    if (mine != theirs) /* to write it is slow */
        __asm__ volatile("msr fpcr, %0" ::"r"(mine));
}

static inline void *
switch_prepare(void *top, void *arg, void (*begin)(void))
{
    void **sp = (void **)((uintptr_t)top & ~(uintptr_t)15) - SWITCH_FRAME_WORDS;
    memset(sp, 0, SWITCH_FRAME_WORDS * sizeof(void *));
    sp[0] = arg;            /* x19 */
    sp[11] = (void *)begin; /* x30, where `ret` goes */
    return sp;
}

#define SWITCH_DEFINE_BEGIN                                                                        \
    __asm__(".text\n.p2align 4\n.globl pausable_switch_stack\n.hidden pausable_switch_stack\n"     \
            ".type pausable_switch_stack,%function\n"                                              \
            "pausable_switch_stack:\n\t"                                                           \
            "sub sp, sp, #160\n\t"                                                                 \
            "stp x19, x20, [sp, #0]\n\tstp x21, x22, [sp, #16]\n\t"                                \
            "stp x23, x24, [sp, #32]\n\tstp x25, x26, [sp, #48]\n\t"                               \
            "stp x27, x28, [sp, #64]\n\tstp x29, x30, [sp, #80]\n\t"                               \
            "stp d8, d9, [sp, #96]\n\tstp d10, d11, [sp, #112]\n\t"                                \
            "stp d12, d13, [sp, #128]\n\tstp d14, d15, [sp, #144]\n\t"                             \
            "mov x9, sp\n\tstr x9, [x0]\n\tmov sp, x1\n\t"                                         \
            "ldp x19, x20, [sp, #0]\n\tldp x21, x22, [sp, #16]\n\t"                                \
            "ldp x23, x24, [sp, #32]\n\tldp x25, x26, [sp, #48]\n\t"                               \
            "ldp x27, x28, [sp, #64]\n\tldp x29, x30, [sp, #80]\n\t"                               \
            "ldp d8, d9, [sp, #96]\n\tldp d10, d11, [sp, #112]\n\t"                                \
            "ldp d12, d13, [sp, #128]\n\tldp d14, d15, [sp, #144]\n\t"                             \
            "add sp, sp, #160\n\tret\n"                                                            \
            ".size pausable_switch_stack, .-pausable_switch_stack\n"                               \
            ".globl pausable_stack_begin\n.hidden pausable_stack_begin\n"                          \
            ".type pausable_stack_begin,%function\n"                                               \
            "pausable_stack_begin:\n\t"                                                            \
            "mov x0, x19\n\tmov x29, xzr\n\tmov x30, xzr\n\tbl pausable_stack_main\n\tbrk #1\n"    \
            ".size pausable_stack_begin, .-pausable_stack_begin\n");

#endif
