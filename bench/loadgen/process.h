/* What /proc says about the server, and our own CPU time. */
#ifndef LOADGEN_PROCESS_H
#define LOADGEN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct process_memory {
    uint64_t rss; /* resident bytes */
    uint64_t pss; /* the same, shared pages divided by their users; == rss if /proc hides it */
} process_memory;

/* CPU time of all threads of `pid`: from schedstat, in ns, where the kernel has it, otherwise user
 * and system time in clock ticks (10 ms). False when there is no such process. */
bool process_read_cpu(pid_t pid, uint64_t *cpu_ns);

/* Resident memory of `pid`. The kernel's socket buffers are not in it. */
bool process_read_memory(pid_t pid, process_memory *memory);

/* CPU time of this process in ns. */
uint64_t process_own_cpu(void);

#endif /* LOADGEN_PROCESS_H */
