/* What the bytes of HTTP may be: one table, and a fast way over texts. Pure; any thread. */
#ifndef CARAFE_HTTP_CHARS_H
#define CARAFE_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_CHAR_TOKEN = 1,  /* RFC 9110 5.6.2: tchar */
    HTTP_CHAR_TARGET = 2, /* visible ASCII without '#': a fragment is never sent */
    HTTP_CHAR_HOST = 4,   /* RFC 3986 3.2.2: reg-name, '%' included */
    HTTP_CHAR_TEXT = 8,   /* RFC 9110 5.5: field-vchar, SP, HTAB, obs-text */
    HTTP_CHAR_HEX = 16,
    HTTP_CHAR_DIGIT = 32
};

extern const uint8_t http_char_class[256];

static inline bool http_char_is(uint8_t c, uint8_t classes)
{
    return (http_char_class[c] & classes) != 0;
}

/* How many bytes at the front are in one of the classes. */
size_t http_char_span(const uint8_t *data, size_t len, uint8_t classes);

/* The same for HTTP_CHAR_TEXT, eight bytes at a time. */
size_t http_text_span(const uint8_t *data, size_t len);

/* The value of a hex digit, -1 for other bytes. */
int http_hex_value(uint8_t c);

#endif /* CARAFE_HTTP_CHARS_H */
