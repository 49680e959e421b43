#include "app/handshake.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/*   bytes:  path  query  { u16 name_len  u16 value_len  name  value }...
 *
 * Lengths are copied byte by byte, so nothing is padded for alignment. */
struct app_handshake {
    net_addr peer;
    uint16_t path_len;
    uint16_t query_len;
    bool has_query;
    uint32_t bytes_len; /* all of `bytes` */
    char bytes[];
};

enum { HEADER_PREFIX_SIZE = 2 * sizeof(uint16_t) };

/* What concerns the connection or the one request only. */
static const char *const dropped_names[] = {
    "Connection",      "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",    "Content-Length",
    "Accept-Encoding", "Pragma",  "Cache-Control",     "Sec-WebSocket-Extensions",
};

static bool is_dropped(slice name)
{
    for (size_t i = 0; i < sizeof(dropped_names) / sizeof(dropped_names[0]); i++)
        if (slice_is_nocase(name, dropped_names[i]))
            return true;
    return false;
}

/* A field that does not fit the 16-bit lengths is beyond all limits of heads by default. */
static bool is_kept(const http_header *header, bool is_whole)
{
    return header->name.len <= UINT16_MAX && header->value.len <= UINT16_MAX &&
           (is_whole || !is_dropped(header->name));
}

static char *put(char *at, slice text)
{
    if (text.len)
        memcpy(at, text.data, text.len);
    return at + text.len;
}

static char *put_len(char *at, size_t len)
{
    uint16_t short_len = (uint16_t)len;
    memcpy(at, &short_len, sizeof(short_len));
    return at + sizeof(short_len);
}

static size_t get_len(const char *at)
{
    uint16_t len;
    memcpy(&len, at, sizeof(len));
    return len;
}

static app_handshake *copy(const http_request *req, bool is_whole)
{
    const http_head *head = &req->head;
    if (head->path.len > UINT16_MAX || head->query.len > UINT16_MAX)
        return NULL;
    size_t len = head->path.len + head->query.len;
    for (size_t i = 0; i < head->header_count; i++)
        if (is_kept(&head->headers[i], is_whole))
            len += HEADER_PREFIX_SIZE + head->headers[i].name.len + head->headers[i].value.len;
    app_handshake *handshake = mem_alloc(sizeof(*handshake) + len);
    if (!handshake)
        return NULL;
    *handshake = (app_handshake){ .peer = req->peer,
                                  .path_len = (uint16_t)head->path.len,
                                  .query_len = (uint16_t)head->query.len,
                                  .has_query = head->query.data != NULL,
                                  .bytes_len = (uint32_t)len };
    char *at = put(put(handshake->bytes, head->path), head->query);
    for (size_t i = 0; i < head->header_count; i++) {
        const http_header *header = &head->headers[i];
        if (!is_kept(header, is_whole))
            continue;
        at = put_len(put_len(at, header->name.len), header->value.len);
        at = put(put(at, header->name), header->value);
    }
    assert(at == handshake->bytes + len);
    return handshake;
}

app_handshake *app_handshake_new(const http_request *req)
{
    return copy(req, false);
}

app_handshake *app_handshake_new_whole(const http_request *req)
{
    return copy(req, true);
}

void app_handshake_free(app_handshake *handshake)
{
    mem_free(handshake);
}

slice app_handshake_path(const app_handshake *handshake)
{
    return slice_of(handshake->bytes, handshake->path_len);
}

slice app_handshake_query(const app_handshake *handshake)
{
    if (!handshake->has_query)
        return (slice){ NULL, 0 };
    return slice_of(handshake->bytes + handshake->path_len, handshake->query_len);
}

bool app_handshake_next(const app_handshake *handshake, const char *name, size_t *at, slice *value)
{
    slice wanted = slice_str(name);
    size_t pos = *at ? *at : (size_t)handshake->path_len + handshake->query_len;
    while (pos < handshake->bytes_len) {
        const char *header = handshake->bytes + pos;
        slice found = slice_of(header + HEADER_PREFIX_SIZE, get_len(header));
        *value = slice_of(found.data + found.len, get_len(header + sizeof(uint16_t)));
        pos += HEADER_PREFIX_SIZE + found.len + value->len;
        if (slice_eq_nocase(found, wanted)) {
            *at = pos;
            return true;
        }
    }
    *at = pos;
    return false;
}

slice app_handshake_header(const app_handshake *handshake, const char *name)
{
    size_t at = 0;
    slice value;
    if (app_handshake_next(handshake, name, &at, &value))
        return value;
    return (slice){ NULL, 0 };
}

const net_addr *app_handshake_peer(const app_handshake *handshake)
{
    return &handshake->peer;
}

size_t app_handshake_size(const app_handshake *handshake)
{
    return sizeof(*handshake) + handshake->bytes_len;
}
