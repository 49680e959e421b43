#include "app/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/slice.h"

/* O_NONBLOCK: the open of a FIFO would wait for a writer. */
enum { FILE_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_dir(int at, const char *name, int flags)
{
    return openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
}

static int open_beneath(int dir_fd, const char *name)
{
    struct open_how how = { .flags = FILE_FLAGS,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int fd;
    do {
        fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
        /* EAGAIN: something was renamed meanwhile, so ".." could not be checked. */
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

/* Opens one segment after the other; takes `dir_fd` over. */
static int open_steps(int dir_fd, const char *name)
{
    slice rest = slice_str(name), segment;
    while (dir_fd >= 0 && slice_split(&rest, '/', &segment)) {
        char text[NAME_MAX + 1];
        bool is_bad = segment.len == 0 || segment.len > NAME_MAX || slice_is(segment, "..");
        int fd = -1;
        if (!is_bad) {
            memcpy(text, segment.data, segment.len);
            text[segment.len] = '\0';
            fd = rest.data ? open_dir(dir_fd, text, O_NOFOLLOW)
                           : openat(dir_fd, text, FILE_FLAGS | O_NOFOLLOW);
        }
        close(dir_fd);
        dir_fd = fd;
    }
    return dir_fd;
}

int folder_open_by_steps(const char *dir, const char *name)
{
    int fd = open_steps(open_dir(AT_FDCWD, dir, 0), name);
    return fd < 0 ? CARAFE_ERR_FILE : fd;
}

int folder_open(const char *dir, const char *name)
{
    int dir_fd = open_dir(AT_FDCWD, dir, 0);
    if (dir_fd < 0)
        return CARAFE_ERR_FILE;
    int fd = open_beneath(dir_fd, name);
    int error = errno;
    close(dir_fd);
    if (fd >= 0)
        return fd;
    /* EPERM: some containers refuse system calls they do not know. */
    if (error == ENOSYS || error == EPERM)
        return folder_open_by_steps(dir, name);
    return CARAFE_ERR_FILE;
}
