/* The switch of coro_switch.h for all other machines: slow, because swapcontext asks the kernel
 * for the signal mask each time. */
#if defined(CARAFE_CORO_UCONTEXT) || !defined(__LP64__) ||                                       \
    (!defined(__x86_64__) && !defined(__aarch64__))
#define USE_UCONTEXT 1
#endif

#include "net/coro_switch.h"

#if defined(USE_UCONTEXT)

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

/* makecontext passes ints only; a pointer to this goes in two halves. It lies on the starter's
 * stack, which cannot run on before the entry has read it. */
typedef struct start {
    coro_entry *entry;
    void *arg;
} start;

static void call_entry(unsigned high, unsigned low)
{
    const start *s = (const start *)(uintptr_t)((uint64_t)high << 32 | low);
    s->entry(s->arg);
    abort();
}

void coro_start(void **save, void *stack, size_t size, coro_entry *entry, void *arg)
{
    start s = { entry, arg };
    uint64_t bits = (uint64_t)(uintptr_t)&s;
    ucontext_t there;
    ucontext_t here;

    if (getcontext(&there) != 0)
        abort();
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = size;
    there.uc_link = NULL;
    makecontext(&there, (void (*)(void))call_entry, 2, (unsigned)(bits >> 32), (unsigned)bits);

    /* swapcontext does not fill this in, and ASan reads it. */
    here.uc_stack = (stack_t){ 0 };
    *save = &here;
    if (swapcontext(&here, &there) != 0)
        abort();
}

void coro_switch(void **save, void *to)
{
    ucontext_t here;

    here.uc_stack = (stack_t){ 0 };
    *save = &here;
    if (swapcontext(&here, to) != 0)
        abort();
}

#endif
