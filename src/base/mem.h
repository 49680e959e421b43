/* All memory of the library comes from here: counted, and able to fail on demand in tests.
 *
 * Thread: any. The counters are per thread and summed when read, so no lock is taken. */
#ifndef CARAFE_BASE_MEM_H
#define CARAFE_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Like malloc, calloc(1, n), realloc and free. NULL when there is no memory. */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *ptr, size_t size) __attribute__((warn_unused_result));
void mem_free(void *ptr);

/* Copies of `len` bytes with a NUL behind them, and of a string. NULL when there is no memory. */
char *mem_dup(const void *data, size_t len) __attribute__((malloc, warn_unused_result));
char *mem_strdup(const char *text) __attribute__((malloc, warn_unused_result));

/* Bytes and blocks handed out and not yet freed, by all threads together. */
int64_t mem_bytes_in_use(void);
int64_t mem_blocks_in_use(void);

/* Tests: the n-th allocation of this thread from now on fails (1 = the next one), and so do all
 * behind it until mem_fail_never(). */
void mem_fail_after(int n);
void mem_fail_never(void);

#endif /* CARAFE_BASE_MEM_H */
