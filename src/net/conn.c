#include "net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    IOV_COUNT_MAX = 64,    /* pieces one write takes */
    BLOCK_SIZE_MIN = 512,  /* smallest block for copied output, its header included */
    SEND_FILE_MAX = 1 << 20 /* bytes of a file per turn, so that others get their share */
};

/* Copied output lives in blocks from the worker's pool. A block is filled at its end while the
 * connection's last chunk points at it. */
typedef struct out_block {
    shared shared;
    net_pool *pool;
    uint32_t size; /* of the whole block */
    uint32_t len;  /* bytes used */
    uint8_t bytes[];
} out_block;

const char *net_close_text(net_close reason)
{
    switch (reason) {
#define CLOSE_CASE(name, text)                                                                   \
    case NET_CLOSE_##name:                                                                       \
        return text;
        NET_CLOSE_TABLE(CLOSE_CASE)
#undef CLOSE_CASE
    }
    return "unknown";
}

void net_addr_format(const net_addr *addr, char dst[NET_ADDR_TEXT_SIZE])
{
    if (addr->family == AF_INET || addr->family == AF_INET6) {
        if (inet_ntop(addr->family, addr->ip, dst, NET_ADDR_TEXT_SIZE))
            return;
    }
    strcpy(dst, addr->family == AF_UNIX ? "unix" : "unknown");
}

/* ---- life cycle ---- */

static void on_timer(wheel_timer *timer)
{
    net_conn *c = LIST_ENTRY(timer, net_conn, timer);
    if (c->state == NET_LINGERING)
        net_conn_close(c, NET_CLOSE_LOCAL);
    else if (c->state == NET_FINISHING)
        net_conn_close(c, NET_CLOSE_SLOW_READER);
    else if (c->protocol->on_timer)
        c->protocol->on_timer(c);
}

void net_conn_init(net_conn *c, worker *w, const net_transport *transport,
                   const net_protocol *protocol, void *user)
{
    *c = (net_conn){ .transport = transport,
                     .protocol = protocol,
                     .user = user,
                     .worker = w,
                     .file_fd = -1 };
    list_init(&c->work_link);
    list_push_back(&w->conns, &c->all_link);
    w->conn_count++;
    wheel_timer_init(&c->timer, on_timer);
}

static void mark_dirty(net_conn *c)
{
    if (c->is_dirty || c->is_blocked || c->state == NET_CLOSED)
        return;
    c->is_dirty = true;
    list_push_back(&c->worker->dirty, &c->work_link);
}

static void update_wants(net_conn *c)
{
    c->transport->want(c, !c->is_paused && !c->is_eof, c->is_blocked);
}

static void drop_output(net_conn *c)
{
    for (uint32_t i = c->chunk_first; i < c->chunk_count; i++)
        shared_unref(c->chunks[i].owner);
    net_pool_give(&c->worker->pool, c->chunks, c->chunks_size);
    c->chunks = NULL;
    c->chunks_size = c->chunk_first = c->chunk_count = c->out_bytes = 0;
    if (c->file_fd >= 0)
        close(c->file_fd);
    c->file_fd = -1;
}

void net_conn_close(net_conn *c, net_close reason)
{
    if (c->state == NET_CLOSED)
        return;
    c->state = NET_CLOSED;
    c->reason = (uint8_t)reason;
    wheel_cancel(&c->timer);
    drop_output(c);
    c->transport->close(c);
    list_unlink(&c->work_link);
    c->is_dirty = false;
    list_push_back(&c->worker->closing, &c->work_link);
}

void net_conn_failed(net_conn *c, net_close reason)
{
    net_conn_close(c, c->state == NET_LINGERING ? NET_CLOSE_LOCAL : reason);
}

/* All output is out: our end of the stream goes next. */
static void start_linger(net_conn *c)
{
    if (c->is_eof) {
        net_conn_close(c, NET_CLOSE_LOCAL);
        return;
    }
    c->state = NET_LINGERING;
    c->transport->shutdown(c);
    c->is_paused = false;
    update_wants(c);
    worker_timer_start(c->worker, &c->timer, NET_LINGER_MS);
}

void net_conn_finish(net_conn *c)
{
    if (c->state != NET_OPEN)
        return;
    c->state = NET_FINISHING;
    worker_timer_start(c->worker, &c->timer, NET_FINISH_MS);
    mark_dirty(c);
}

void net_conn_set_timer(net_conn *c, uint64_t delay_ms)
{
    if (c->state != NET_OPEN)
        return;
    if (delay_ms)
        worker_timer_start(c->worker, &c->timer, delay_ms);
    else
        wheel_cancel(&c->timer);
}

void net_conn_set_protocol(net_conn *c, const net_protocol *protocol, void *user)
{
    c->protocol = protocol;
    c->user = user;
    net_conn_set_timer(c, 0);
}

/* ---- input ---- */

void net_conn_input(net_conn *c, uint8_t *data, size_t len)
{
    if (c->state == NET_OPEN)
        c->protocol->on_data(c, data, len);
}

void net_conn_input_end(net_conn *c)
{
    c->is_eof = true;
    if (c->state == NET_LINGERING) {
        net_conn_close(c, NET_CLOSE_LOCAL);
        return;
    }
    if (c->state == NET_CLOSED)
        return;
    update_wants(c);
    if (c->state != NET_OPEN)
        return;
    if (c->protocol->on_eof)
        c->protocol->on_eof(c);
    else
        net_conn_close(c, NET_CLOSE_PEER);
}

void net_conn_pause(net_conn *c)
{
    if (c->is_paused || c->state == NET_CLOSED)
        return;
    c->is_paused = true;
    update_wants(c);
}

void net_conn_resume(net_conn *c)
{
    if (!c->is_paused || c->state == NET_CLOSED)
        return;
    c->is_paused = false;
    update_wants(c);
}

/* ---- output ---- */

static void on_block_free(shared *s)
{
    out_block *block = LIST_ENTRY(s, out_block, shared);
    net_pool_give(block->pool, block, block->size);
}

/* The list is full at its end. A peer that always lags a little never lets it become empty, so
 * the places of chunks that are written must be used again: only a list that is still more than
 * half in use grows. */
static int make_chunk_room(net_conn *c)
{
    net_pool *pool = &c->worker->pool;
    uint32_t count = c->chunk_count - c->chunk_first;
    if (c->chunk_first && count <= c->chunk_first) {
        memmove(c->chunks, c->chunks + c->chunk_first, count * sizeof(*c->chunks));
        c->chunk_first = 0;
        c->chunk_count = count;
        return 0;
    }
    size_t size = c->chunks ? (size_t)c->chunks_size * 2 : NET_POOL_SIZE_MIN;
    net_chunk *chunks = net_pool_take(pool, size, &size);
    if (!chunks)
        return CARAFE_ERR_NOMEM;
    if (count)
        memcpy(chunks, c->chunks + c->chunk_first, count * sizeof(*chunks));
    net_pool_give(pool, c->chunks, c->chunks_size);
    c->chunks = chunks;
    c->chunks_size = (uint32_t)size;
    c->chunk_first = 0;
    c->chunk_count = count;
    return 0;
}

/* Adds a chunk; its reference is the connection's afterwards. */
static int push_chunk(net_conn *c, shared *owner, const uint8_t *data, size_t len)
{
    if ((c->chunk_count + 1) * sizeof(net_chunk) > c->chunks_size)
        TRY(make_chunk_room(c));
    c->chunks[c->chunk_count++] = (net_chunk){ owner, data, len };
    c->out_bytes += (uint32_t)len;
    mark_dirty(c);
    return 0;
}

static int check_writable(const net_conn *c, size_t len)
{
    if (c->state != NET_OPEN)
        return CARAFE_ERR_CLOSED;
    assert(c->file_fd < 0 && "nothing goes behind a file");
    return len > NET_OUT_BYTES_MAX - c->out_bytes ? CARAFE_ERR_TOO_LARGE : 0;
}

static int close_for(net_conn *c, int error)
{
    net_conn_close(c, error == CARAFE_ERR_NOMEM ? NET_CLOSE_NOMEM : NET_CLOSE_SLOW_READER);
    return error;
}

/* The block the last chunk ends in, when it has room for `len` bytes behind that end. */
static out_block *open_block(net_conn *c, size_t len)
{
    if (c->chunk_count == c->chunk_first)
        return NULL;
    net_chunk *last = &c->chunks[c->chunk_count - 1];
    if (last->owner->on_free != on_block_free)
        return NULL;
    out_block *block = LIST_ENTRY(last->owner, out_block, shared);
    bool is_at_end = last->data + last->len == block->bytes + block->len;
    return is_at_end && block->size - sizeof(*block) - block->len >= len ? block : NULL;
}

/* Room for `len` bytes at the end of the output: the caller fills it at once. NULL: no memory. */
static uint8_t *reserve(net_conn *c, size_t len)
{
    out_block *block = open_block(c, len);
    if (block) {
        c->chunks[c->chunk_count - 1].len += len;
        c->out_bytes += (uint32_t)len;
        block->len += (uint32_t)len;
        return block->bytes + block->len - len;
    }
    size_t size = sizeof(*block) + len;
    if (size < BLOCK_SIZE_MIN)
        size = BLOCK_SIZE_MIN;
    block = net_pool_take(&c->worker->pool, size, &size);
    if (!block)
        return NULL;
    shared_init(&block->shared, on_block_free);
    block->pool = &c->worker->pool;
    block->size = (uint32_t)size;
    block->len = (uint32_t)len;
    if (push_chunk(c, &block->shared, block->bytes, len) < 0) {
        shared_unref(&block->shared);
        return NULL;
    }
    return block->bytes;
}

int net_conn_write(net_conn *c, const void *data, size_t len)
{
    return net_conn_writev(c, &(struct iovec){ (void *)(uintptr_t)data, len }, 1);
}

int net_conn_writev(net_conn *c, const struct iovec *iov, int iov_count)
{
    size_t len = 0;
    for (int i = 0; i < iov_count; i++)
        len += iov[i].iov_len;
    int error = check_writable(c, len);
    if (error == CARAFE_ERR_CLOSED)
        return error;
    if (error < 0)
        return close_for(c, error);
    if (len == 0)
        return 0;
    uint8_t *dst = reserve(c, len);
    if (!dst)
        return close_for(c, CARAFE_ERR_NOMEM);
    for (int i = 0; i < iov_count; i++) {
        if (iov[i].iov_len)
            memcpy(dst, iov[i].iov_base, iov[i].iov_len);
        dst += iov[i].iov_len;
    }
    return 0;
}

int net_conn_write_shared(net_conn *c, shared *owner, const uint8_t *data, size_t len)
{
    int error = check_writable(c, len);
    if (error == CARAFE_ERR_CLOSED)
        return error;
    if (error < 0)
        return close_for(c, error);
    if (len == 0)
        return 0;
    error = push_chunk(c, owner, data, len);
    if (error < 0)
        return close_for(c, error);
    shared_ref(owner);
    return 0;
}

int net_conn_send_file(net_conn *c, int fd, uint64_t offset, uint64_t len)
{
    int error = check_writable(c, 0);
    if (error < 0) {
        close(fd);
        return error;
    }
    c->file_fd = fd;
    c->file_offset = offset;
    c->file_left = len;
    c->wants_drain = true;
    mark_dirty(c);
    return 0;
}

void net_conn_want_drain(net_conn *c)
{
    c->wants_drain = true;
    mark_dirty(c);
}

/* Takes `written` bytes off the front of the output. */
static void consume_output(net_conn *c, size_t written)
{
    c->out_bytes -= (uint32_t)written;
    while (written) {
        net_chunk *first = &c->chunks[c->chunk_first];
        if (written < first->len) {
            first->data += written;
            first->len -= written;
            return;
        }
        written -= first->len;
        shared_unref(first->owner);
        c->chunk_first++;
    }
    if (c->chunk_first == c->chunk_count) {
        net_pool_give(&c->worker->pool, c->chunks, c->chunks_size);
        c->chunks = NULL;
        c->chunks_size = c->chunk_first = c->chunk_count = 0;
    }
}

/* Writes queued chunks until all are out or the transport is full. */
static int flush_chunks(net_conn *c)
{
    while (c->chunk_first < c->chunk_count) {
        struct iovec iov[IOV_COUNT_MAX];
        int count = 0;
        size_t asked = 0;
        for (uint32_t i = c->chunk_first; i < c->chunk_count && count < IOV_COUNT_MAX; i++) {
            const net_chunk *chunk = &c->chunks[i];
            iov[count++] = (struct iovec){ (void *)(uintptr_t)chunk->data, chunk->len };
            asked += chunk->len;
        }
        ptrdiff_t written = c->transport->write(c, iov, count);
        if (written < 0)
            return (int)written;
        consume_output(c, (size_t)written);
        /* A short write means that the socket is full: asking again would only say so. */
        if ((size_t)written < asked)
            return CARAFE_ERR_AGAIN;
    }
    return 0;
}

static int flush_file(net_conn *c)
{
    size_t sent_now = 0;
    while (c->file_left) {
        size_t len = c->file_left < SEND_FILE_MAX ? (size_t)c->file_left : SEND_FILE_MAX;
        ptrdiff_t sent = c->transport->send_file(c, c->file_fd, c->file_offset, len);
        if (sent < 0)
            return (int)sent;
        /* The file became shorter than its announced length: the stream cannot be mended. */
        if (sent == 0)
            return CARAFE_ERR_FILE;
        c->file_offset += (uint64_t)sent;
        c->file_left -= (uint64_t)sent;
        sent_now += (size_t)sent;
        if (sent_now >= SEND_FILE_MAX && c->file_left)
            return CARAFE_ERR_AGAIN;
    }
    close(c->file_fd);
    c->file_fd = -1;
    return 0;
}

static void flush(net_conn *c)
{
    int error = flush_chunks(c);
    if (error == 0 && c->file_fd >= 0)
        error = flush_file(c);
    bool is_blocked = error == CARAFE_ERR_AGAIN;
    if (error < 0 && !is_blocked) {
        net_conn_close(c, error == CARAFE_ERR_CLOSED ? NET_CLOSE_RESET : NET_CLOSE_ERROR);
        return;
    }
    if (is_blocked != c->is_blocked) {
        c->is_blocked = is_blocked;
        update_wants(c);
    }
    if (is_blocked) {
        c->wants_drain = true;
        return;
    }
    if (c->wants_drain) {
        c->wants_drain = false;
        if (c->state == NET_OPEN && c->protocol->on_drain)
            c->protocol->on_drain(c);
    }
    if (c->state == NET_FINISHING && c->chunk_first == c->chunk_count && c->file_fd < 0)
        start_linger(c);
}

void net_conn_writable(net_conn *c)
{
    if (c->state != NET_CLOSED && c->is_blocked)
        flush(c);
}

static void end_closed(worker *w)
{
    list *node;
    while ((node = list_pop_front(&w->closing)) != NULL) {
        net_conn *c = LIST_ENTRY(node, net_conn, work_link);
        c->protocol->on_close(c, (net_close)c->reason);
        wheel_cancel(&c->timer);
        list_unlink(&c->all_link);
        w->conn_count--;
        c->transport->release(c);
    }
}

bool net_conns_end_turn(worker *w)
{
    end_closed(w);
    list batch;
    list_init(&batch);
    list_splice(&batch, &w->dirty);
    list *node;
    while ((node = list_pop_front(&batch)) != NULL) {
        net_conn *c = LIST_ENTRY(node, net_conn, work_link);
        c->is_dirty = false;
        flush(c);
    }
    return !list_is_empty(&w->dirty) || !list_is_empty(&w->closing);
}
