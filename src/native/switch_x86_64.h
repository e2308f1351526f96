/* The switch of C stacks on x86-64 (System V ABI). Assembly only: no interpreter in here.
 *
 * Rules:
 * - It is inline, so that `call` and `ret` stay paired for the processor's return predictor, and so
 *   that the compiler saves what it needs: all registers but rbx and rbp are declared clobbered
 *   (a compiler may use these two for itself and refuse to have them clobbered).
 * - The 128 bytes below the stack pointer (the red zone) may be in use: they are stepped over.
 * - The control words (rounding, exception masks) belong to the call. They are always loaded:
 *   comparing first is slower. A call begins with those of whoever begins it.
 * Rejected: setjmp/longjmp and ucontext (a system call for the signal mask, 5 times the cost). To
 * leave `pause` and `resume` by a jump instead of `ret`, whose prediction is the other side's address
 * then: a pair takes a fifth less, but all returns further out are mispredicted, also the caller's,
 * and a job that pauses once takes 7 % longer.
 */
#ifndef PAUSABLE_SWITCH_H
#define PAUSABLE_SWITCH_H

#include <stdint.h>

#ifdef __AVX512F__ /* by CFLAGS: then the compiler has more of them */
#define SWITCH_AVX512                                                                              \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5",  \
        "k6", "k7"
#else
#define SWITCH_AVX512
#endif

/* As switch_stack, for a stack whose call has ended: the control words stay those of whoever comes
 * back, to begin another. */
static inline __attribute__((always_inline)) void
switch_stack_at_end(void **save, void *load)
{
    __asm__ volatile(
        "leaq -128(%%rsp), %%rsp\n\t"
        "pushq %%rbp\n\t"
        "pushq %%rbx\n\t"
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "movq %%rsp, (%0)\n\t"
        "movq %1, %%rsp\n\t"
        "popq %%rax\n\t"
        "popq %%rbx\n\t"
        "popq %%rbp\n\t"
        "jmpq *%%rax\n\t"
        ".p2align 4\n"
        "1:\n\t"
        "leaq 128(%%rsp), %%rsp\n\t"
        : "+D"(save), "+S"(load)
        :
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" SWITCH_AVX512);
}

/* Set this stack aside (its pointer goes to *save) and go on with the one whose pointer is `load`. */
static inline __attribute__((always_inline)) void
switch_stack(void **save, void *load)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    switch_stack_at_end(save, load);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(x87));
}

/* Prepare a stack that ends at `top` so that the first switch to it calls stack_main(arg).
 * The control words at that moment are those of whoever switches: as for a call. */
static inline void *
switch_prepare(void *top, void *arg, void (*begin)(void))
{
    void **sp = (void **)((uintptr_t)top & ~(uintptr_t)15);
    *--sp = NULL; /* keeps the alignment that a call expects */
    *--sp = NULL;
    *--sp = NULL; /* rbp: the end of the chain of frames */
    *--sp = arg;  /* rbx */
    *--sp = (void *)begin;
    return sp;
}

/* The bottom of every stack. Unwinders stop here: there is no return address (rip is undefined). */
#define SWITCH_DEFINE_BEGIN                                                                        \
    __asm__(".text\n.p2align 4\n.globl pausable_stack_begin\n.hidden pausable_stack_begin\n"       \
            ".type pausable_stack_begin,@function\n"                                               \
            "pausable_stack_begin:\n\t.cfi_startproc\n\t.cfi_undefined rip\n\t"                    \
            "movq %rbx, %rdi\n\txorl %ebp, %ebp\n\tcall pausable_stack_main\n\tud2\n\t"            \
            ".cfi_endproc\n.size pausable_stack_begin, .-pausable_stack_begin\n");

#endif
