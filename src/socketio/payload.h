/* What the public payload functions build, seen from inside.
 *
 *   binary value   {"\xff": "<the bytes>"}
 *   tuple          {"\xfd": [argument, ...]}
 *   invalid value  one static object, known by its address
 *
 * The keys are not valid UTF-8, so no JSON text from a peer can make such an object; and being
 * ordinary values they are counted, packed and deep-copied as any other. */
#ifndef CARAFE_SOCKETIO_PAYLOAD_H
#define CARAFE_SOCKETIO_PAYLOAD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "carafe/payload.h"

/* The value that stands for a failed one. Static: json_incref and json_decref leave it alone. */
json_t *payload_invalid(void);

/* True for the invalid value itself. One that sits inside another value is found when that is
 * encoded. NULL ("no argument") is valid. */
bool payload_is_invalid(const json_t *payload);

/* The array of a tuple's arguments, borrowed; NULL when `payload` is NULL or no tuple. */
json_t *payload_tuple_items(const json_t *payload);

/* sio_tuple with its arguments in a list. */
json_t *payload_vtuple(const char *fmt, va_list args);

/* The arguments of any payload as an array: a new reference for an array of none, one, or those
 * of a tuple. `payload` is stolen, also on failure. NULL when it is invalid or without memory. */
json_t *payload_to_array(json_t *payload);

#endif /* CARAFE_SOCKETIO_PAYLOAD_H */
