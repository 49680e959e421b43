/* Base64 (RFC 4648): the standard alphabet with padding, and the URL alphabet without. Pure. */
#ifndef CARAFE_BASE_BASE64_H
#define CARAFE_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters that `len` bytes become, with padding. */
static inline size_t base64_encoded_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

/* Writes base64_encoded_len(len) characters to `dst`, no NUL, and returns their number. */
size_t base64_encode(const void *src, size_t len, char *dst);

/* Writes the URL form without padding, no NUL; returns the characters written. */
size_t base64url_encode(const void *src, size_t len, char *dst);

/* Decodes `len` characters of the standard alphabet; padding may be there or be absent, but must
 * be right when it is there; nothing else is skipped. `dst` may be `src` (decoding in place) and
 * needs len / 4 * 3 + 3 bytes at most. Returns the bytes written, or CARAFE_ERR_BAD_DATA: a
 * character outside the alphabet, an impossible length, or set bits behind the last byte. */
ptrdiff_t base64_decode(const char *src, size_t len, uint8_t *dst);

#endif /* CARAFE_BASE_BASE64_H */
