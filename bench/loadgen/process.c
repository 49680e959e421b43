#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

/* The three files read here are a few hundred bytes long. */
#define PROC_FILE_SIZE_MAX 4096

/* Reads /proc/<pid>/<name> as a string. */
static bool read_proc_file(pid_t pid, const char *name, char text[PROC_FILE_SIZE_MAX])
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t len = fread(text, 1, PROC_FILE_SIZE_MAX - 1, file);
    fclose(file);
    text[len] = '\0';
    return len > 0;
}

/* The sum over the threads: /proc/<pid>/schedstat alone is only the main thread. */
static bool read_schedstat(pid_t pid, uint64_t *cpu_ns)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;

    uint64_t total = 0;
    bool found = false;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char name[64], text[PROC_FILE_SIZE_MAX];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(name, sizeof name, "task/%.20s/schedstat", entry->d_name);
        if (read_proc_file(pid, name, text)) {
            total += strtoull(text, NULL, 10);
            found = true;
        }
    }
    closedir(dir);
    *cpu_ns = total;
    return found && total > 0;
}

static bool read_stat(pid_t pid, uint64_t *cpu_ns)
{
    char text[PROC_FILE_SIZE_MAX];
    if (!read_proc_file(pid, "stat", text))
        return false;
    /* The second field, the program's name, may hold spaces and parentheses. */
    const char *rest = strrchr(text, ')');
    uint64_t user_ticks, system_ticks;
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &user_ticks, &system_ticks) != 2)
        return false;
    *cpu_ns = (user_ticks + system_ticks) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

bool process_read_cpu(pid_t pid, uint64_t *cpu_ns)
{
    return read_schedstat(pid, cpu_ns) || read_stat(pid, cpu_ns);
}

/* The value of a "Key:   123 kB" line. */
static bool find_kilobytes(const char *text, const char *key, uint64_t *bytes)
{
    const char *line = strstr(text, key);
    if (line == NULL)
        return false;
    *bytes = strtoull(line + strlen(key), NULL, 10) * 1024;
    return true;
}

bool process_read_memory(pid_t pid, process_memory *memory)
{
    char text[PROC_FILE_SIZE_MAX];
    if (read_proc_file(pid, "smaps_rollup", text) && find_kilobytes(text, "\nRss:", &memory->rss) &&
        find_kilobytes(text, "\nPss:", &memory->pss))
        return true;

    uint64_t pages;
    if (!read_proc_file(pid, "statm", text) || sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return false;
    memory->rss = memory->pss = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

uint64_t process_own_cpu(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}
