#include "payload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define HEAD "{\"t\":"
#define HEAD_LEN (sizeof HEAD - 1)
#define DIGITS 16
#define MIDDLE ",\"data\":\""
#define TAIL "\"}"

/* Characters JSON leaves as they are. Brackets, braces and commas are there so that a server which
 * looks for the end of a value without minding strings is found out. */
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               " -_.,:;+*=()[]{}!?#%&@^|~'";

static char *put(char *dst, const char *text)
{
    size_t len = strlen(text);
    memcpy(dst, text, len);
    return dst + len;
}

void payload_init(payload *p, size_t data_len)
{
    p->len = HEAD_LEN + DIGITS + strlen(MIDDLE) + data_len + strlen(TAIL);
    p->text = alloc_zeroed(p->len + 1, 1);
    char *dst = put(p->text, HEAD "0000000000000000" MIDDLE);
    uint32_t random = 12345; /* fixed, so that runs are alike */
    for (size_t i = 0; i < data_len; i++) {
        random = random * 1664525u + 1013904223u;
        *dst++ = alphabet[(random >> 16) % (sizeof alphabet - 1)];
    }
    dst = put(dst, TAIL);
    assert(dst == p->text + p->len);
}

void payload_deinit(payload *p)
{
    free(p->text);
    *p = (payload){0};
}

void payload_write(const payload *p, uint64_t t, char *dst)
{
    memcpy(dst, p->text, p->len);
    for (size_t i = HEAD_LEN + DIGITS; i-- > HEAD_LEN; t /= 10)
        dst[i] = (char)('0' + t % 10);
}

payload_verdict payload_check(const payload *p, const char *text, size_t len, uint64_t *t)
{
    if (len != p->len)
        return PAYLOAD_ALIEN;
    uint64_t value = 0;
    for (size_t i = HEAD_LEN; i < HEAD_LEN + DIGITS; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';
        if (digit > 9)
            return PAYLOAD_ALIEN;
        value = value * 10 + digit;
    }
    *t = value;
    const size_t rest = HEAD_LEN + DIGITS;
    if (memcmp(text, p->text, HEAD_LEN) != 0 ||
        memcmp(text + rest, p->text + rest, len - rest) != 0)
        return PAYLOAD_DAMAGED;
    return PAYLOAD_GOOD;
}
