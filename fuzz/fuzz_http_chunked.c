/* Covers http_chunked_feed: fed in pieces it gives the same body, and takes the same bytes, as fed
 * at once; the body stays within its limit; a body encoded with http_chunk_head decodes to itself.
 *
 * The first byte of the input is the size of the pieces, the second one the limit. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "http/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also in builds without asserts. */
static void check(bool is_right)
{
    if (!is_right)
        abort();
}

typedef struct outcome {
    ptrdiff_t result; /* bytes consumed, or an error */
    bool is_done;
    buf body;
} outcome;

static void feed_piece(http_chunked *c, outcome *o, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len && !http_chunked_is_done(c)) {
        slice run;
        ptrdiff_t n = http_chunked_feed(c, data + at, len - at, &run);
        if (n < 0) {
            check(n == CARAFE_ERR_BAD_REQUEST || n == CARAFE_ERR_TOO_LARGE);
            o->result = n;
            return;
        }
        check(n > 0 && (size_t)n <= len - at);
        if (run.len) {
            const uint8_t *body = (const uint8_t *)run.data;
            check(body >= data + at && body + run.len <= data + at + n);
            check(buf_append(&o->body, body, run.len) == 0);
        }
        at += (size_t)n;
    }
    o->result += (ptrdiff_t)at;
}

static outcome decode(const uint8_t *data, size_t len, size_t piece, uint64_t limit)
{
    http_chunked c;
    outcome o = {0};
    http_chunked_init(&c, limit);
    for (size_t at = 0; at < len && o.result >= 0 && !http_chunked_is_done(&c); at += piece)
        feed_piece(&c, &o, data + at, len - at < piece ? len - at : piece);
    o.is_done = http_chunked_is_done(&c);
    check(buf_readable(&o.body) <= limit);
    return o;
}

static void check_round_trip(const uint8_t *data, size_t len, size_t piece)
{
    buf wire = {0};
    for (size_t at = 0; at < len; at += piece) {
        char head[HTTP_CHUNK_HEAD_MAX];
        size_t chunk_len = len - at < piece ? len - at : piece;
        check(buf_append(&wire, head, http_chunk_head(chunk_len, head)) == 0);
        check(buf_append(&wire, data + at, chunk_len) == 0);
        check(buf_append_str(&wire, "\r\n") == 0);
    }
    check(buf_append_str(&wire, "0\r\n\r\n") == 0);
    outcome o = decode(wire.data, wire.len, 7, len);
    check(o.is_done && o.result == (ptrdiff_t)wire.len);
    check(slice_eq(buf_slice(&o.body), slice_of(data, len)));
    buf_deinit(&o.body);
    buf_deinit(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const size_t piece = (size_t)data[0] + 1;
    const uint64_t limit = data[1];
    data += 2;
    size -= 2;
    outcome whole = decode(data, size, size ? size : 1, limit);
    outcome in_pieces = decode(data, size, piece, limit);
    check(whole.result == in_pieces.result && whole.is_done == in_pieces.is_done);
    check(slice_eq(buf_slice(&whole.body), buf_slice(&in_pieces.body)));
    buf_deinit(&whole.body);
    buf_deinit(&in_pieces.body);
    check_round_trip(data, size, piece);
    return 0;
}
