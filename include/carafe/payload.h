/* Payloads: the data of events, acks and connects.
 *
 * A payload is a Jansson value. A function that takes one takes the reference over (steals it),
 * also when it fails. A payload is one argument, whatever it is (a list too); NULL is none;
 * sio_tuple and sio_tuple_of make one payload out of several arguments.
 *
 * The functions below never return NULL. When they fail they return the *invalid value*: it may
 * be released like any other, and every call that takes it fails with CARAFE_ERR_BAD_DATA, so
 * that a failed sio_pack does not go out as "no argument".
 *
 * Thread: any. A value must not be used by two threads at a time. */
#ifndef CARAFE_PAYLOAD_H
#define CARAFE_PAYLOAD_H

#include <stddef.h>

#include <jansson.h>

#include "carafe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A binary value: a copy of `len` bytes (`data` may be NULL when that is 0). It can be the payload
 * or sit anywhere in one, and travels as an attachment. New reference. Fails without memory. */
CARAFE_API json_t *sio_binary(const void *data, size_t len);

/* The bytes of a binary value and, in `*len` (when not NULL), their number. Not NULL for a binary
 * value without bytes, and then there is a NUL behind them. They live as long as the value. NULL,
 * with `*len` unchanged, when `value` is NULL or no binary value. */
CARAFE_API const void *sio_bytes(const json_t *value, size_t *len);

/* A string payload, made like printf. New reference. Fails without memory, and when the text is
 * not valid UTF-8. */
CARAFE_API json_t *sio_text(const char *fmt, ...) CARAFE_PRINTF(1, 2);

/* One payload by Jansson's json_pack format: sio_pack("{s:s, s:i}", "user", name, "age", 7).
 * New reference; "o" arguments are stolen, also on failure. Fails on a bad format, a NULL where
 * none may be, text that is not valid UTF-8, and without memory. */
CARAFE_API json_t *sio_pack(const char *fmt, ...);

/* Several arguments by a list of such formats: sio_tuple("s i o", "x", 1, json_true()). "" gives
 * none. New reference; fails as sio_pack does. */
CARAFE_API json_t *sio_tuple(const char *fmt, ...);

/* The items of `array` (stolen, also on failure) as so many arguments. New reference. Fails when
 * `array` is NULL or no array, and without memory. */
CARAFE_API json_t *sio_tuple_of(json_t *array);

#ifdef __cplusplus
}
#endif

#endif /* CARAFE_PAYLOAD_H */
