#include "app/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EXIT_STATUS_INTERRUPTED = 130 };

/* A signal belongs to the process, so what waits for it does too. The descriptor is never closed:
 * a handler may be about to write to it on another thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned user_count;          /* GUARDED_BY(lock) */
static struct sigaction before_int;  /* GUARDED_BY(lock) */
static struct sigaction before_term; /* GUARDED_BY(lock) */
static atomic_int event_fd = -1;
static atomic_int signal_count;

static void on_signal(int number)
{
    (void)number;
    int error = errno;
    if (atomic_fetch_add(&signal_count, 1) > 0)
        _exit(EXIT_STATUS_INTERRUPTED);
    uint64_t one = 1;
    ssize_t written = write(atomic_load(&event_fd), &one, sizeof(one));
    (void)written;
    errno = error;
}

static int install(void)
{
    if (atomic_load(&event_fd) < 0)
        atomic_store(&event_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (atomic_load(&event_fd) < 0)
        return CARAFE_ERR_SYSTEM;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
    return 0;
}

static void restore(void)
{
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
    uint64_t count;
    ssize_t got = read(atomic_load(&event_fd), &count, sizeof(count));
    (void)got;
    atomic_store(&signal_count, 0);
}

int app_signals_catch(void)
{
    pthread_mutex_lock(&lock);
    int error = user_count == 0 ? install() : 0;
    if (error == 0)
        user_count++;
    int fd = atomic_load(&event_fd);
    pthread_mutex_unlock(&lock);
    return error < 0 ? error : fd;
}

void app_signals_release(void)
{
    pthread_mutex_lock(&lock);
    if (--user_count == 0)
        restore();
    pthread_mutex_unlock(&lock);
}
