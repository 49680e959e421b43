/* A main() for fuzz targets that are built without libFuzzer: it feeds every file named on the
 * command line, and every file below each directory named there, to the target once, and the empty
 * input first.
 *
 * Any compiler and sanitizer can so replay the corpus as an ordinary test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t input_count;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s: ", path);
    perror(what);
    exit(2);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("open", path);
    /* Exactly `size` bytes on the heap, so that a read past the end is caught by the sanitizer. */
    uint8_t *data = malloc(size ? size : 1);
    if (!data)
        fail("allocate", path);
    if (fread(data, 1, size, file) != size)
        fail("read", path);
    fclose(file);

    /* Named before it runs: after a crash the last line of the output is the culprit. */
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    input_count++;
    free(data);
}

static void replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        fail("stat", path);
    if (S_ISREG(info.st_mode))
        replay_file(path, (size_t)info.st_size);
    if (!S_ISDIR(info.st_mode))
        return;

    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        fail("list", path);
    for (int i = 0; i < count; i++) {
        char child[4096];
        if (entries[i]->d_name[0] != '.') {
            int len = snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
            if (len < 0 || (size_t)len >= sizeof(child))
                fail("path too long", path);
            replay_path(child);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    uint8_t *empty = calloc(1, 1);
    if (!empty)
        fail("allocate", "empty input");
    LLVMFuzzerTestOneInput(empty, 0);
    free(empty);
    for (int i = 1; i < argc; i++)
        replay_path(argv[i]);
    printf("replayed %zu inputs\n", input_count);
    return 0;
}
