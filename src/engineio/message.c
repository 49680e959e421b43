#include "engineio/message.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

static void on_free(shared *s)
{
    mem_free(LIST_ENTRY(s, eio_message, shared));
}

static void seal(eio_message *m, bool is_binary, size_t body_len)
{
    uint8_t head[WS_HEAD_SIZE_MAX];
    shared_init(&m->shared, on_free);
    m->is_binary = is_binary;
    m->body_len = body_len;
    size_t len = ws_frame_head_encode(head, is_binary ? WS_BINARY : WS_TEXT, WS_FIN, body_len);
    m->head_len = (uint8_t)len;
    memcpy(m->body - len, head, len);
}

int eio_message_begin_text(buf *b)
{
    assert(b->len == 0);
    TRY(buf_reserve(b, offsetof(eio_message, body) + 1));
    b->len = offsetof(eio_message, body);
    b->data[b->len++] = '0' + EIO_MESSAGE;
    return 0;
}

eio_message *eio_message_seal_text(buf *b)
{
    eio_message *m = (eio_message *)(void *)b->data;
    seal(m, false, b->len - offsetof(eio_message, body));
    *b = (buf){ 0 };
    return m;
}

eio_message *eio_message_new_binary(const void *data, size_t len)
{
    eio_message *m = mem_alloc(offsetof(eio_message, body) + len);
    if (!m)
        return NULL;
    if (len)
        memcpy(m->body, data, len);
    seal(m, true, len);
    return m;
}
