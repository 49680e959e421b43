#include "engineio/packet.h"

#include <assert.h>
#include <string.h>

#include "base/base64.h"

enum {
    BINARY_MARK = 'b', /* stands before a binary message where only text can travel */
    HEAD_LEN_MAX = 2,  /* separator, and type or mark */
};

/* Decodes the base64 behind the mark, in place. */
static int decode_binary(uint8_t *text, size_t len, eio_packet *out)
{
    /* base64_decode lets padding be absent; every client writes it, so its absence means that
     * something was cut off. */
    if (len % 4 != 0)
        return CARAFE_ERR_BAD_PACKET;
    ptrdiff_t data_len = base64_decode((const char *)text, len, text);
    if (data_len < 0)
        return CARAFE_ERR_BAD_PACKET;
    *out = (eio_packet){EIO_MESSAGE, true, text, (size_t)data_len};
    return 0;
}

int eio_packet_decode(uint8_t *frame, size_t len, eio_packet *out)
{
    if (len == 0)
        return CARAFE_ERR_BAD_PACKET;
    if (frame[0] == BINARY_MARK)
        return decode_binary(frame + 1, len - 1, out);
    if (frame[0] < '0' + EIO_OPEN || frame[0] > '0' + EIO_NOOP)
        return CARAFE_ERR_BAD_PACKET;
    *out = (eio_packet){(eio_packet_type)(frame[0] - '0'), false, frame + 1, len - 1};
    return 0;
}

ptrdiff_t eio_payload_next(uint8_t *body, size_t len, eio_packet *out)
{
    if (len == 0)
        return CARAFE_ERR_BAD_PACKET;
    const uint8_t *separator = memchr(body, EIO_SEPARATOR, len);
    size_t packet_len = separator ? (size_t)(separator - body) : len;
    /* The caller stops when all is consumed, so the empty packet behind a trailing separator is
     * seen here or never. */
    if (separator && packet_len + 1 == len)
        return CARAFE_ERR_BAD_PACKET;
    TRY(eio_packet_decode(body, packet_len, out));
    return (ptrdiff_t)(separator ? packet_len + 1 : packet_len);
}

ptrdiff_t eio_packet_encode(const eio_packet *packet, uint8_t *dst, size_t dst_cap)
{
    assert(!packet->is_binary);
    if (dst_cap == 0 || packet->data_len > dst_cap - 1)
        return CARAFE_ERR_NOSPACE;
    dst[0] = (uint8_t)('0' + packet->type);
    if (packet->data_len)
        memcpy(dst + 1, packet->data, packet->data_len);
    return (ptrdiff_t)(1 + packet->data_len);
}

int eio_payload_append(buf *dst, const eio_packet *packet)
{
    assert(!packet->is_binary || packet->type == EIO_MESSAGE);
    /* Longer than any memory: refused before the base64 length can overflow. */
    if (packet->data_len > SIZE_MAX / 4)
        return CARAFE_ERR_NOMEM;
    size_t data_len = packet->is_binary ? base64_encoded_len(packet->data_len) : packet->data_len;
    TRY(buf_reserve(dst, HEAD_LEN_MAX + data_len));

    if (buf_readable(dst) > 0)
        dst->data[dst->len++] = EIO_SEPARATOR;
    if (packet->is_binary) {
        dst->data[dst->len++] = BINARY_MARK;
        dst->len += base64_encode(packet->data, packet->data_len, (char *)dst->data + dst->len);
        return 0;
    }
    ptrdiff_t written = eio_packet_encode(packet, dst->data + dst->len, dst->cap - dst->len);
    assert(written > 0 && "room was reserved");
    dst->len += (size_t)written;
    return 0;
}
