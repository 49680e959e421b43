/* Covers ws_decoder_next, ws_frame_head_encode, ws_close_payload_encode and ws_mask.
 *
 * Input: byte 0 chooses the cutting, byte 1 the limits, the rest is the stream of a client, twice:
 * as it is, for what is malformed, and as the payload of frames which the encoder makes.
 * - However the stream is cut, the events are the same.
 * - decode(encode(x)) == x.
 * - The memory held is bounded by the bytes received. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ws/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static ws_limits limits_of(uint8_t choice)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 1000, 65536, 1 << 20, SIZE_MAX };
    return (ws_limits){ .message_size_max = sizes[choice & 7], .allow_rsv1 = (choice & 8) != 0 };
}

static size_t piece_len(uint8_t cutting, size_t round, size_t left)
{
    static const size_t lens[] = { 1,  2,  3,   5,   7,   14,   15,   16,
                                   31, 64, 127, 128, 256, 1000, 4096, SIZE_MAX };
    size_t len = lens[round % 2 ? cutting & 15 : cutting >> 4];
    return len < left ? len : left;
}

/* Writes down all there is to know of an event. */
static void trace_event(buf *trace, int result, const ws_event *event)
{
    const char *error = event->type == WS_EVENT_ERROR ? event->error : "";
    require(buf_printf(trace, "%d %d %d %d %d %s %zu:", result, (int)event->type,
                       (int)event->opcode, event->is_compressed, event->close_code, error,
                       event->len) == 0);
    require(buf_append(trace, event->data, event->len) == 0);
}

static void require_event_is_sound(const ws_limits *limits, int result, const ws_event *event)
{
    require((result < 0) == (event->type == WS_EVENT_ERROR));
    switch (event->type) {
    case WS_EVENT_MESSAGE:
        require(event->len <= limits->message_size_max);
        require(event->opcode == WS_TEXT || event->opcode == WS_BINARY);
        require(limits->allow_rsv1 || !event->is_compressed);
        if (event->opcode == WS_TEXT && !event->is_compressed)
            require(utf8_is_valid(event->data, event->len));
        break;
    case WS_EVENT_PING:
    case WS_EVENT_PONG:
        require(event->len <= WS_CONTROL_PAYLOAD_MAX);
        break;
    case WS_EVENT_CLOSE:
        require(event->len <= WS_CLOSE_REASON_MAX && utf8_is_valid(event->data, event->len));
        require(ws_close_code_is_legal(event->close_code) ||
                (event->close_code == WS_CLOSE_NO_STATUS && event->len == 0));
        break;
    case WS_EVENT_ERROR:
        require(ws_close_code_is_legal(event->close_code) && event->error != NULL);
        break;
    }
}

/* Decodes the stream in pieces, each in memory of its own that is gone afterwards. */
static void decode(const ws_limits *limits, uint8_t cutting, const uint8_t *stream, size_t size,
                   buf *trace)
{
    ws_decoder d = { 0 };
    size_t received = 0;
    for (size_t round = 0; received < size; round++) {
        size_t len = piece_len(cutting, round, size - received);
        uint8_t *piece = malloc(len);
        uint8_t *at = piece;
        require(piece != NULL);
        memcpy(piece, stream + received, len);
        received += len;
        ws_event event;
        for (int result; (result = ws_decoder_next(&d, limits, &at, &len, &event)) != 0;) {
            require_event_is_sound(limits, result, &event);
            trace_event(trace, result, &event);
        }
        require(len == 0);
        require(d.message_cap <= 2 * received + 256);
        require(d.message_len <= received);
        free(piece);
    }
    require(buf_printf(trace, "%s", ws_decoder_is_idle(&d) ? "idle" : "busy") == 0);
    ws_decoder_deinit(&d);
}

static void require_cutting_makes_no_difference(const ws_limits *limits, uint8_t cutting,
                                                const uint8_t *stream, size_t size)
{
    buf whole = { 0 }, bytes = { 0 }, pieces = { 0 };
    decode(limits, 0xff, stream, size, &whole);
    decode(limits, cutting, stream, size, &pieces);
    require(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    if (size <= 4096) {
        decode(limits, 0, stream, size, &bytes);
        require(slice_eq(buf_slice(&whole), buf_slice(&bytes)));
    }
    buf_deinit(&whole);
    buf_deinit(&bytes);
    buf_deinit(&pieces);
}

/* Makes of a server's frame one of a client. */
static void append_client_frame(buf *stream, ws_opcode opcode, unsigned flags,
                                const uint8_t *payload, size_t len, const uint8_t mask[4])
{
    uint8_t head[WS_HEAD_SIZE_MAX];
    size_t head_len = ws_frame_head_encode(head, opcode, flags, len);
    head[1] |= 0x80;
    require(buf_append(stream, head, head_len) == 0 && buf_append(stream, mask, 4) == 0);
    require(buf_append(stream, payload, len) == 0);
    if (len)
        ws_mask(stream->data + stream->len - len, len, mask);
}

static void next_of(ws_decoder *d, const ws_limits *limits, uint8_t **at, size_t *len,
                    ws_event_type type, const uint8_t *data, size_t data_len)
{
    ws_event event;
    require(ws_decoder_next(d, limits, at, len, &event) == 1);
    require(event.type == type && event.len == data_len);
    require(data_len == 0 || memcmp(event.data, data, data_len) == 0);
}

static void require_round_trip(uint8_t cutting, const uint8_t *x, size_t size)
{
    static const ws_limits limits = { .message_size_max = SIZE_MAX };
    const uint8_t mask[4] = { cutting, 0x55, (uint8_t)size, 0xc3 };
    size_t cut = size ? (size_t)cutting * 257 % size : 0;
    size_t ping_len = size < WS_CONTROL_PAYLOAD_MAX ? size : WS_CONTROL_PAYLOAD_MAX;
    uint8_t close[WS_CONTROL_PAYLOAD_MAX];
    slice reason = slice_of(x, size < 4 ? size : 4);
    ptrdiff_t close_len = ws_close_payload_encode(close, 1000U + cutting * 16U, reason);

    buf stream = { 0 };
    append_client_frame(&stream, WS_BINARY, WS_FIN, x, size, mask);
    append_client_frame(&stream, WS_BINARY, 0, x, cut, mask);
    append_client_frame(&stream, WS_PING, WS_FIN, x, ping_len, mask);
    append_client_frame(&stream, WS_CONTINUATION, WS_FIN, x + cut, size - cut, mask);
    if (close_len >= 0)
        append_client_frame(&stream, WS_CLOSE, WS_FIN, close, (size_t)close_len, mask);
    require_cutting_makes_no_difference(&limits, cutting, buf_head(&stream), buf_readable(&stream));

    ws_decoder d = { 0 };
    uint8_t *at = buf_head(&stream);
    size_t len = buf_readable(&stream);
    next_of(&d, &limits, &at, &len, WS_EVENT_MESSAGE, x, size);
    next_of(&d, &limits, &at, &len, WS_EVENT_PING, x, ping_len);
    next_of(&d, &limits, &at, &len, WS_EVENT_MESSAGE, x, size);
    if (close_len >= 0)
        next_of(&d, &limits, &at, &len, WS_EVENT_CLOSE, (const uint8_t *)reason.data, reason.len);
    require(len == 0);
    ws_decoder_deinit(&d);
    buf_deinit(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    ws_limits limits = limits_of(data[1]);
    require_cutting_makes_no_difference(&limits, data[0], data + 2, size - 2);
    require_round_trip(data[0], data + 2, size - 2);
    require(mem_blocks_in_use() == 0);
    return 0;
}
