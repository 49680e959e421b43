#include "base/random.h"

#include <assert.h>
#include <openssl/rand.h>

#include "base/base64.h"

static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int random_bytes(void *dst, size_t len)
{
    return RAND_bytes(dst, (int)len) == 1 ? 0 : CARAFE_ERR_SYSTEM;
}

int sid_make(char dst[SID_LEN + 1], unsigned worker)
{
    uint8_t secret[15];
    assert(worker < SID_WORKER_MAX);
    TRY(random_bytes(secret, sizeof(secret)));
    size_t len = base64url_encode(secret, sizeof(secret), dst);
    dst[len++] = url_alphabet[worker >> 6];
    dst[len++] = url_alphabet[worker & 63];
    dst[len] = '\0';
    return 0;
}

/* The value of a character of the URL alphabet, or -1. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int sid_worker(const char *sid, size_t len)
{
    if (len != SID_LEN)
        return -1;
    for (size_t i = 0; i < SID_LEN; i++) {
        if (digit_of(sid[i]) < 0)
            return -1;
    }
    return digit_of(sid[SID_LEN - 2]) << 6 | digit_of(sid[SID_LEN - 1]);
}
