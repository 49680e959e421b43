#include "http/chunked.h"

#include <assert.h>

#include "http/chars.h"

/*            hex              ';'
 *   SIZE ─────────► SIZE ──┬──────► EXTENSION
 *                          └─CR──┐     │CR
 *                                ▼     ▼
 *                               SIZE_LF ──LF, size > 0─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE
 *                                  └─────LF, size = 0─► TRAILER
 *   TRAILER ──token─► TRAILER_NAME ──':'─► TRAILER_VALUE ──CR─► TRAILER_LF ──LF─► TRAILER
 *   TRAILER ──CR────► END_LF ──LF─► DONE                                                      */
enum {
    CHUNK_SIZE = 0,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_DONE
};

void http_chunked_init(http_chunked *c, uint64_t body_size_max)
{
    *c = (http_chunked){.body_left = body_size_max};
}

bool http_chunked_is_done(const http_chunked *c)
{
    return c->state == CHUNK_DONE;
}

/* RFC 9112 7.1.1: extensions that are not known are ignored; so are trailers (6.5.1). */
static int count_extra(http_chunked *c, size_t len)
{
    if (len > (size_t)(HTTP_CHUNK_EXTRA_MAX - c->extra))
        return CARAFE_ERR_BAD_REQUEST;
    c->extra = (uint16_t)(c->extra + len);
    return 0;
}

static int expect(http_chunked *c, uint8_t got, uint8_t wanted, uint8_t next_state)
{
    if (got != wanted)
        return CARAFE_ERR_BAD_REQUEST;
    c->state = next_state;
    return 1;
}

static int feed_size(http_chunked *c, uint8_t byte)
{
    int digit = http_hex_value(byte);
    if (digit >= 0) {
        /* Sixteen digits fill 64 bits, so the value cannot overflow. */
        if (c->digits == HTTP_CHUNK_DIGITS_MAX)
            return CARAFE_ERR_BAD_REQUEST;
        c->digits++;
        c->left = c->left << 4 | (uint64_t)digit;
        /* Refused as soon as it is sure: further digits only make it larger. */
        return c->left > c->body_left ? CARAFE_ERR_TOO_LARGE : 1;
    }
    if (c->digits == 0)
        return CARAFE_ERR_BAD_REQUEST;
    if (byte == ';') {
        TRY(count_extra(c, 1));
        c->state = CHUNK_EXTENSION;
        return 1;
    }
    return expect(c, byte, '\r', CHUNK_SIZE_LF);
}

static int feed_size_end(http_chunked *c, uint8_t byte)
{
    uint8_t next = c->left ? CHUNK_DATA : CHUNK_TRAILER;
    c->digits = 0;
    c->body_left -= c->left;
    return expect(c, byte, '\n', next);
}

/* Extensions and the values of trailers: text up to a CR. */
static ptrdiff_t feed_text(http_chunked *c, const uint8_t *data, size_t len, uint8_t next_state)
{
    size_t text_len = http_text_span(data, len);
    TRY(count_extra(c, text_len));
    if (text_len == len)
        return (ptrdiff_t)len;
    TRY(expect(c, data[text_len], '\r', next_state));
    return (ptrdiff_t)text_len + 1;
}

static int feed_trailer_name(http_chunked *c, uint8_t byte)
{
    if (c->state == CHUNK_TRAILER && byte == '\r')
        return expect(c, byte, '\r', CHUNK_END_LF);
    TRY(count_extra(c, 1));
    if (c->state == CHUNK_TRAILER_NAME && byte == ':')
        return expect(c, byte, ':', CHUNK_TRAILER_VALUE);
    if (!http_char_is(byte, HTTP_CHAR_TOKEN))
        return CARAFE_ERR_BAD_REQUEST;
    c->state = CHUNK_TRAILER_NAME;
    return 1;
}

static ptrdiff_t feed_data(http_chunked *c, const uint8_t *data, size_t len, slice *body)
{
    size_t run = c->left < len ? (size_t)c->left : len;
    *body = slice_of(data, run);
    c->left -= run;
    if (c->left == 0)
        c->state = CHUNK_DATA_CR;
    return (ptrdiff_t)run;
}

/* One step: at least one byte of `len` > 0, or an error. */
static ptrdiff_t feed_step(http_chunked *c, const uint8_t *data, size_t len, slice *body)
{
    switch (c->state) {
    case CHUNK_SIZE:
        return feed_size(c, *data);
    case CHUNK_EXTENSION:
        return feed_text(c, data, len, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        return feed_size_end(c, *data);
    case CHUNK_DATA:
        return feed_data(c, data, len, body);
    case CHUNK_DATA_CR:
        return expect(c, *data, '\r', CHUNK_DATA_LF);
    case CHUNK_DATA_LF:
        return expect(c, *data, '\n', CHUNK_SIZE);
    case CHUNK_TRAILER:
    case CHUNK_TRAILER_NAME:
        return feed_trailer_name(c, *data);
    case CHUNK_TRAILER_VALUE:
        return feed_text(c, data, len, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF:
        return expect(c, *data, '\n', CHUNK_TRAILER);
    case CHUNK_END_LF:
        return expect(c, *data, '\n', CHUNK_DONE);
    default:
        assert(0 && "a state of a body that is not done");
        return CARAFE_ERR_STATE;
    }
}

ptrdiff_t http_chunked_feed(http_chunked *c, const uint8_t *data, size_t len, slice *body)
{
    size_t at = 0;
    *body = (slice){NULL, 0};
    while (at < len && body->len == 0 && c->state != CHUNK_DONE) {
        ptrdiff_t n = feed_step(c, data + at, len - at, body);
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    return (ptrdiff_t)at;
}
