#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/tcp.h"

enum {
    ACCEPTS_PER_TURN_MAX = 64,
    ACCEPT_PAUSE_MS = 100, /* when the process is out of file descriptors */
    BACKLOG_DEFAULT = 1024,
};

struct net_listener {
    net_source source;
    worker_release release;
    wheel_timer pause;
    worker **workers;
    unsigned worker_count;
    unsigned next_worker;
    net_accept_fn *on_accept;
    void *arg;
    int port;
    bool is_pausing; /* one log line a shortage, not one an attempt */
};

/* An accepted socket on its way to another worker. */
typedef struct handover {
    worker_task task;
    net_accept_fn *on_accept;
    void *arg;
    int fd;
    net_addr peer;
} handover;

/* ---- opening ---- */

static int bind_one(const struct addrinfo *info, int backlog)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return 0;
    if (addr.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
    return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

static int open_socket(const net_listen_options *options, const char **error_text)
{
    char port[12];
    snprintf(port, sizeof(port), "%d", options->port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int error = getaddrinfo(options->host, port, &hints, &found);
    if (error) {
        *error_text = gai_strerror(error);
        return -1;
    }
    int fd = -1;
    int backlog = options->backlog ? options->backlog : BACKLOG_DEFAULT;
    /* For every interface the resolver names 0.0.0.0 first, but only [::] takes both families. */
    for (struct addrinfo *info = found; info && fd < 0; info = info->ai_next)
        if (!options->host && info->ai_family == AF_INET6)
            fd = bind_one(info, backlog);
    for (struct addrinfo *info = found; info && fd < 0; info = info->ai_next)
        fd = bind_one(info, backlog);
    if (fd < 0)
        *error_text = strerror(errno);
    freeaddrinfo(found);
    return fd;
}

int net_listener_open(const net_listen_options *options, net_listener **out,
                      const char **error_text)
{
    net_listener *l = mem_zalloc(sizeof(*l));
    if (!l) {
        *error_text = carafe_strerror(CARAFE_ERR_NOMEM);
        return CARAFE_ERR_NOMEM;
    }
    l->source.fd = open_socket(options, error_text);
    if (l->source.fd < 0) {
        mem_free(l);
        return CARAFE_ERR_ADDRESS;
    }
    l->port = bound_port(l->source.fd);
    *out = l;
    return 0;
}

int net_listener_port(const net_listener *l)
{
    return l->port;
}

/* ---- accepting ---- */

static net_addr addr_of(const struct sockaddr_storage *from)
{
    net_addr addr = { .family = (uint8_t)from->ss_family };
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        addr.port = ntohs(in->sin_port);
        memcpy(addr.ip, &in->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        addr.port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            addr.family = AF_INET;
            memcpy(addr.ip, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(addr.ip, &in6->sin6_addr, 16);
        }
    }
    return addr;
}

static void on_handover(worker *w, worker_task *task)
{
    handover *h = LIST_ENTRY(task, handover, task);
    h->on_accept(w, h->fd, &h->peer, h->arg);
    mem_free(h);
}

static void give_to(net_listener *l, worker *w, int fd, const net_addr *peer)
{
    if (w == l->workers[0]) {
        l->on_accept(w, fd, peer, l->arg);
        return;
    }
    handover *h = mem_alloc(sizeof(*h));
    if (h)
        *h = (handover){ .task = { .fn = on_handover },
                         .on_accept = l->on_accept,
                         .arg = l->arg,
                         .fd = fd,
                         .peer = *peer };
    if (!h || worker_post(w, &h->task) < 0) {
        close(fd);
        mem_free(h);
    }
}

static void on_pause_over(wheel_timer *timer)
{
    net_listener *l = LIST_ENTRY(timer, net_listener, pause);
    if (l->source.fd >= 0)
        net_poller_change(&l->workers[0]->poller, &l->source, true, false);
}

/* Out of descriptors or memory: waiting clients stay in the backlog until some are free again. */
static void pause_accepting(net_listener *l)
{
    if (!l->is_pausing)
        log_line(LOG_SERVER, LOG_ERROR, "cannot accept connections: %s; trying again every %d ms",
                 strerror(errno), ACCEPT_PAUSE_MS);
    l->is_pausing = true;
    net_poller_change(&l->workers[0]->poller, &l->source, false, false);
    worker_timer_start(l->workers[0], &l->pause, ACCEPT_PAUSE_MS);
}

static void on_ready(net_source *source, bool can_read, bool can_write)
{
    net_listener *l = LIST_ENTRY(source, net_listener, source);
    (void)can_read;
    (void)can_write;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && source->fd >= 0; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(source->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            net_addr peer = addr_of(&from);
            l->is_pausing = false;
            give_to(l, l->workers[l->next_worker], fd, &peer);
            l->next_worker = (l->next_worker + 1) % l->worker_count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l);
            return;
        }
        /* Anything else is the failure of that one connection (accept(2), "Error handling"). */
    }
}

int net_listener_start(net_listener *l, worker **workers, unsigned worker_count,
                       net_accept_fn *on_accept, void *arg)
{
    l->workers = workers;
    l->worker_count = worker_count;
    l->on_accept = on_accept;
    l->arg = arg;
    l->source.on_ready = on_ready;
    wheel_timer_init(&l->pause, on_pause_over);
    return net_poller_add(&workers[0]->poller, &l->source, true, false);
}

static void on_release(worker_release *release)
{
    mem_free(LIST_ENTRY(release, net_listener, release));
}

void net_listener_close(net_listener *l)
{
    if (!l->workers) {
        close(l->source.fd);
        mem_free(l);
        return;
    }
    wheel_cancel(&l->pause);
    net_poller_remove(&l->workers[0]->poller, &l->source);
    close(l->source.fd);
    l->source.fd = -1;
    l->release.fn = on_release;
    worker_release_later(l->workers[0], &l->release);
}
