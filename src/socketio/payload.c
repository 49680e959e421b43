#include "socketio/payload.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define BINARY_KEY "\xff"
#define TUPLE_KEY "\xfd"

/* Texts and formats up to this size need no memory of their own. */
enum { TEXT_SIZE_SMALL = 256 };

/* Static, so that it is there when memory is not. The count marks it as never to be freed, as in
 * Jansson's own null. */
static json_t invalid_value = {JSON_NULL, (size_t)-1};

json_t *payload_invalid(void)
{
    return &invalid_value;
}

bool payload_is_invalid(const json_t *payload)
{
    return payload == &invalid_value;
}

/* An object with `value` (stolen) as its only member; the invalid value without memory. */
static json_t *wrap(const char *key, json_t *value)
{
    json_t *object = json_object();
    if (!value || json_object_set_new_nocheck(object, key, value) < 0) {
        /* With a NULL object the call has released `value` too. */
        json_decref(object);
        return payload_invalid();
    }
    return object;
}

static json_t *unwrap(const json_t *value, const char *key)
{
    if (!json_is_object(value) || json_object_size(value) != 1)
        return NULL;
    /* Comparing the only key is cheaper than looking one up; most objects get no further. */
    void *only = json_object_iter((json_t *)(uintptr_t)value);
    return strcmp(json_object_iter_key(only), key) == 0 ? json_object_iter_value(only) : NULL;
}

json_t *sio_binary(const void *data, size_t len)
{
    return wrap(BINARY_KEY, json_stringn_nocheck(len ? data : "", len));
}

const void *sio_bytes(const json_t *value, size_t *len)
{
    const json_t *bytes = unwrap(value, BINARY_KEY);
    if (!json_is_string(bytes))
        return NULL;
    if (len)
        *len = json_string_length(bytes);
    return json_string_value(bytes);
}

json_t *payload_tuple_items(const json_t *payload)
{
    json_t *items = unwrap(payload, TUPLE_KEY);
    return json_is_array(items) ? items : NULL;
}

json_t *payload_to_array(json_t *payload)
{
    if (payload_is_invalid(payload))
        return NULL;
    json_t *items = payload_tuple_items(payload);
    if (items) {
        json_incref(items);
        json_decref(payload);
        return items;
    }
    json_t *array = json_array();
    if (payload && json_array_append_new(array, payload) < 0) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* A string value of what was printed; the invalid value when it is not UTF-8. */
static json_t *text_value(const char *text, size_t len)
{
    json_t *value = json_stringn(text, len);
    return value ? value : payload_invalid();
}

json_t *sio_text(const char *fmt, ...)
{
    char small[TEXT_SIZE_SMALL];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    if (len < 0)
        return payload_invalid();
    if ((size_t)len < sizeof(small))
        return text_value(small, (size_t)len);

    char *text = mem_alloc((size_t)len + 1);
    if (!text)
        return payload_invalid();
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    json_t *value = text_value(text, (size_t)len);
    mem_free(text);
    return value;
}

static json_t *pack(const char *fmt, va_list args)
{
    json_error_t error;
    json_t *value = json_vpack_ex(&error, 0, fmt, args);
    return value ? value : payload_invalid();
}

json_t *sio_pack(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *value = pack(fmt, args);
    va_end(args);
    return value;
}

json_t *sio_tuple_of(json_t *array)
{
    if (!json_is_array(array)) {
        json_decref(array);
        return payload_invalid();
    }
    return wrap(TUPLE_KEY, array);
}

json_t *payload_vtuple(const char *fmt, va_list args)
{
    if (!fmt)
        return payload_invalid();
    char small[TEXT_SIZE_SMALL];
    size_t fmt_len = strlen(fmt);
    char *list_fmt = fmt_len + 3 <= sizeof(small) ? small : mem_alloc(fmt_len + 3);
    if (!list_fmt)
        return payload_invalid();
    list_fmt[0] = '[';
    memcpy(list_fmt + 1, fmt, fmt_len);
    memcpy(list_fmt + 1 + fmt_len, "]", 2);
    json_t *array = pack(list_fmt, args);
    if (list_fmt != small)
        mem_free(list_fmt);
    return sio_tuple_of(array);
}

json_t *sio_tuple(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *tuple = payload_vtuple(fmt, args);
    va_end(args);
    return tuple;
}
