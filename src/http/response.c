#include "http/response.h"

#include <string.h>

#include "base/utf8.h"
#include "http/chars.h"
#include "http/head.h"
#include "http/status.h"

static bool is_text(slice text)
{
    return http_text_span((const uint8_t *)text.data, text.len) == text.len;
}

/* The headers that tell where the body ends have one author, http_response_end. */
static bool is_reserved(slice name)
{
    switch (name.len) {
    case 4:
        return slice_is_nocase(name, "date");
    case 10:
        return slice_is_nocase(name, "connection");
    case 14:
        return slice_is_nocase(name, "content-length");
    case 17:
        return slice_is_nocase(name, "transfer-encoding");
    default:
        return false;
    }
}

bool http_header_is_valid(slice name, slice value)
{
    return http_is_token(name) && is_text(value) && !is_reserved(name);
}

static uint8_t *put(uint8_t *at, const char *data, size_t len)
{
    if (len)
        memcpy(at, data, len);
    return at + len;
}

/* "name: value CRLF" with one reservation. */
static int append_header(buf *out, slice name, slice value)
{
    size_t len = name.len + value.len + 4;
    TRY(buf_reserve(out, len));
    uint8_t *at = put(out->data + out->len, name.data, name.len);
    at = put(at, ": ", 2);
    at = put(at, value.data, value.len);
    put(at, "\r\n", 2);
    out->len += len;
    return 0;
}

int http_response_begin(http_response *r, buf *out, int status, slice date)
{
    if (status < 100 || status > 599 || !is_text(date))
        return CARAFE_ERR_ARGUMENT;
    *r = (http_response){
        .out = out,
        .start = buf_readable(out),
        .status = status,
        .version_minor = 1,
        .keep_alive = true,
    };
    slice line = http_status_line(status);
    if (line.data)
        TRY(buf_append(out, line.data, line.len));
    else
        TRY(buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_reason(status)));
    if (date.len && append_header(out, SLICE_LITERAL("Date"), date) < 0) {
        http_response_cancel(r);
        return CARAFE_ERR_NOMEM;
    }
    return 0;
}

int http_response_header(http_response *r, slice name, slice value)
{
    if (!http_header_is_valid(name, value))
        return CARAFE_ERR_ARGUMENT;
    return append_header(r->out, name, value);
}

int http_response_header_str(http_response *r, const char *name, const char *value)
{
    return http_response_header(r, slice_str(name), slice_str(value));
}

static int append_framing(http_response *r)
{
    /* RFC 9112 6.1: no Transfer-Encoding to a peer of HTTP/1.0. */
    if (r->framing == HTTP_FRAMING_CHUNKED && r->version_minor == 0)
        r->framing = HTTP_FRAMING_CLOSE;
    switch (r->framing) {
    case HTTP_FRAMING_LENGTH:
        TRY(buf_append(r->out, "Content-Length: ", 16));
        TRY(buf_append_uint(r->out, r->content_length));
        return buf_append(r->out, "\r\n", 2);
    case HTTP_FRAMING_CHUNKED:
        return buf_append_str(r->out, "Transfer-Encoding: chunked\r\n");
    case HTTP_FRAMING_CLOSE:
        r->keep_alive = false;
        return 0;
    }
    return 0;
}

/* RFC 9112 9.3: what goes without saying in HTTP/1.1 must be said to a peer of HTTP/1.0. */
static int append_connection(http_response *r)
{
    if (!r->keep_alive)
        return buf_append_str(r->out, "Connection: close\r\n");
    if (r->version_minor == 0)
        return buf_append_str(r->out, "Connection: keep-alive\r\n");
    return 0;
}

int http_response_end(http_response *r)
{
    /* RFC 9110 8.6, RFC 9112 6.1: neither header in 1xx and 204; in 304 they would be of the body
     * that is not sent. An interim response says nothing about the connection. */
    if (http_status_has_body(r->status))
        TRY(append_framing(r));
    if (r->status >= 200)
        TRY(append_connection(r));
    return buf_append(r->out, "\r\n", 2);
}

int http_response_end_upgrade(http_response *r, const char *protocol)
{
    TRY(append_header(r->out, SLICE_LITERAL("Upgrade"), slice_str(protocol)));
    return buf_append_str(r->out, "Connection: Upgrade\r\n\r\n");
}

void http_response_cancel(http_response *r)
{
    r->out->len = r->out->pos + r->start;
}

size_t http_chunk_head(uint64_t len, char dst[HTTP_CHUNK_HEAD_MAX])
{
    static const char HEX[] = "0123456789abcdef";
    size_t digits = 1, at;
    while (digits < 16 && len >> (4 * digits))
        digits++;
    for (at = digits; at > 0; len >>= 4)
        dst[--at] = HEX[len & 15];
    dst[digits] = '\r';
    dst[digits + 1] = '\n';
    return digits + 2;
}

/* RFC 8259 7: quotes, backslashes and control characters are escaped. */
static int append_json_text(buf *out, slice text)
{
    bool is_utf8 = utf8_is_valid(text.data, text.len);
    TRY(buf_append_char(out, '"'));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == '"' || c == '\\')
            TRY(buf_append_char(out, '\\'));
        if (c < 0x20 || c == 0x7f)
            TRY(buf_printf(out, "\\u%04x", c));
        else
            TRY(buf_append_char(out, c < 0x80 || is_utf8 ? (char)c : '?'));
    }
    return buf_append_char(out, '"');
}

int http_error_body(buf *out, int status, slice message)
{
    if (message.len == 0)
        message = slice_str(http_status_reason(status));
    TRY(buf_append_str(out, "{\"error\":{\"code\":"));
    TRY(buf_append_uint(out, status < 0 ? 0 : (uint64_t)status));
    TRY(buf_append_str(out, ",\"message\":"));
    TRY(append_json_text(out, message));
    return buf_append_str(out, "}}");
}
