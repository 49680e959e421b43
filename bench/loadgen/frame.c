#include "frame.h"

#include <string.h>

#define FIN 0x80u
#define MASK 0x80u
#define HEAD_SIZE_MAX 14

/* RFC 6455 5.3 wants unpredictable keys against caches on the way; on loopback it is enough that
 * they vary, so that the server cannot skip unmasking. */
static uint32_t next_key(void)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void copy_masked(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    uint64_t key2 = (uint64_t)key << 32 | key;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, src + i, 8);
        word ^= key2;
        memcpy(dst + i, &word, 8);
    }
    uint8_t key_bytes[4];
    memcpy(key_bytes, &key, 4);
    for (; i < len; i++)
        dst[i] = src[i] ^ key_bytes[i % 4];
}

void frame_encode(buf *out, frame_opcode opcode, const void *data, size_t len)
{
    uint8_t *head = buf_reserve(out, HEAD_SIZE_MAX + len);
    uint8_t *p = head;
    *p++ = (uint8_t)(FIN | opcode);
    if (len < 126) {
        *p++ = (uint8_t)(MASK | len);
    } else {
        int length_bytes = len <= UINT16_MAX ? 2 : 8;
        *p++ = (uint8_t)(MASK | (length_bytes == 2 ? 126u : 127u));
        for (int shift = 8 * (length_bytes - 1); shift >= 0; shift -= 8)
            *p++ = (uint8_t)((uint64_t)len >> shift);
    }
    uint32_t key = next_key();
    memcpy(p, &key, 4);
    p += 4;
    copy_masked(p, data, len, key);
    out->len += (size_t)(p - head) + len;
}

ptrdiff_t frame_decode(const uint8_t *data, size_t len, frame *out, const char **why)
{
    if (len < 2)
        return 0;
    if ((data[0] & 0xf0u) != FIN) {
        *why = "a fragmented or compressed frame";
        return -1;
    }
    if (data[1] & MASK) {
        *why = "a masked frame";
        return -1;
    }
    size_t head_len = 2;
    uint64_t data_len = data[1];
    if (data_len >= 126) {
        size_t length_bytes = data_len == 126 ? 2 : 8;
        head_len += length_bytes;
        if (len < head_len)
            return 0;
        data_len = 0;
        for (size_t i = 2; i < head_len; i++)
            data_len = data_len << 8 | data[i];
    }
    if (data_len > FRAME_SIZE_MAX) {
        *why = "a frame of more than 1 MiB";
        return -1;
    }
    if (len - head_len < data_len)
        return 0;
    *out = (frame){data[0] & 0x0fu, data + head_len, (size_t)data_len};
    return (ptrdiff_t)(head_len + data_len);
}
