/* The switch between two stacks, under coro.c: assembly in coro_switch_<arch>.S, or
 * coro_ucontext.c. A context is a pointer into its own stack, below which all it needs is saved:
 * the callee-saved registers and the floating point control state, not the signal mask. */
#ifndef CARAFE_NET_CORO_SWITCH_H
#define CARAFE_NET_CORO_SWITCH_H

#include <stddef.h>

typedef void coro_entry(void *arg);

/* Saves this context to `*save`, then calls entry(arg) at the top of a stack of `size` bytes whose
 * lowest is `stack` (both multiples of 16). `entry` must not return. Returns when something
 * switches to `*save`. */
__attribute__((visibility("hidden"))) void coro_start(void **save, void *stack, size_t size,
                                                      coro_entry *entry, void *arg);

/* Saves this context to `*save` and goes on at `to`, which is used up by that. Returns when
 * something switches to `*save`. */
__attribute__((visibility("hidden"))) void coro_switch(void **save, void *to);

#endif /* CARAFE_NET_CORO_SWITCH_H */
