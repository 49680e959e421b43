/* UTF-8 checked as it streams (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF). Pure; any thread, on its own state. */
#ifndef CARAFE_BASE_UTF8_H
#define CARAFE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is the state at the start of a text. */
typedef struct utf8_state {
    uint8_t need; /* continuation bytes still to come: 0 at a character's boundary */
    uint8_t low;  /* smallest legal value of the next continuation byte; valid when need > 0 */
    uint8_t high; /* largest one */
} utf8_state;

/* Checks the next `len` bytes. False at the first byte that cannot be part of valid UTF-8, as
 * early as possible (a bad second byte is refused without waiting for the third). */
bool utf8_feed(utf8_state *state, const void *data, size_t len);

/* True when the text may end here (no character is cut off). */
static inline bool utf8_is_complete(const utf8_state *state)
{
    return state->need == 0;
}

/* True when the whole text is valid UTF-8. */
bool utf8_is_valid(const void *data, size_t len);

#endif /* CARAFE_BASE_UTF8_H */
