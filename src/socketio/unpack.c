/* sio_unpack: arguments checked against Jansson's formats, with errors that name the place.
 *
 * The format is walked here first, to say which value is missing or of which type, in the words of
 * the protocol, and before any target is written to. Then json_vunpack_ex does the work. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "socketio/event.h"

enum { PATH_SIZE_MAX = 256 };

static const char *type_name(const json_t *value)
{
    if (!value)
        return "nothing";
    if (sio_bytes(value, NULL))
        return "binary";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    default:
        return "null";
    }
}

/* ---- finding the culprit ---- */

typedef struct walk {
    sio_ctx *ctx;
    const char *at; /* in the format */
    va_list args;   /* only keys are read; targets are skipped */
    char path[PATH_SIZE_MAX];
    bool is_found;
} walk;

static void report(walk *w, const char *expected, const json_t *got)
{
    if (w->is_found)
        return;
    w->is_found = true;
    if (got)
        sio_fail(w->ctx, "%s: expected %s, got %s", w->path, expected, type_name(got));
    else
        sio_fail(w->ctx, "%s: missing", w->path);
}

static void skip_blanks(walk *w)
{
    while (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' || *w->at == ',' || *w->at == ':')
        w->at++;
}

static void walk_value(walk *w, const json_t *value, bool is_present);

static void walk_object(walk *w, const json_t *value, bool is_present)
{
    size_t path_len = strlen(w->path);
    bool is_object = json_is_object(value) && !sio_bytes(value, NULL);
    if (is_present && !is_object)
        report(w, "object", value);
    for (skip_blanks(w); *w->at && *w->at != '}'; skip_blanks(w)) {
        if (*w->at != 's') { /* '!' and '*' */
            w->at++;
            continue;
        }
        w->at++;
        const char *key = va_arg(w->args, const char *);
        bool is_optional = *w->at == '?';
        if (is_optional)
            w->at++;
        const json_t *member = is_object ? json_object_get(value, key) : NULL;
        snprintf(w->path + path_len, sizeof(w->path) - path_len, ".%s", key);
        if (is_object && !member && !is_optional)
            report(w, "", NULL);
        skip_blanks(w);
        walk_value(w, member, member != NULL);
        w->path[path_len] = '\0';
    }
    if (*w->at)
        w->at++;
}

static void walk_array(walk *w, const json_t *value, bool is_present)
{
    size_t path_len = strlen(w->path), index = 0;
    if (is_present && !json_is_array(value))
        report(w, "array", value);
    for (skip_blanks(w); *w->at && *w->at != ']'; skip_blanks(w)) {
        if (*w->at == '!' || *w->at == '*') {
            w->at++;
            continue;
        }
        const json_t *item = json_is_array(value) ? json_array_get(value, index) : NULL;
        snprintf(w->path + path_len, sizeof(w->path) - path_len, "[%zu]", index++);
        if (json_is_array(value) && !item)
            report(w, "", NULL);
        walk_value(w, item, item != NULL);
        w->path[path_len] = '\0';
    }
    if (*w->at)
        w->at++;
}

static void report_text(walk *w, const char *text)
{
    if (!w->is_found)
        sio_fail(w->ctx, "%s: %s", w->path, text);
    w->is_found = true;
}

/* What Jansson would cut off or refuse without a word. */
static void check_number(walk *w, char code, const json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (code == 'i' && (number < INT_MIN || number > INT_MAX))
        report_text(w, "integer out of range");
    if (code == 'f' && json_is_integer(value))
        report_text(w, "expected real number, got integer");
}

/* What a format character takes from the argument list, and the type it stands for. */
static void walk_scalar(walk *w, char code, const json_t *value, bool is_present)
{
    const char *expected = NULL;
    bool fits = true;
    switch (code) {
    case 's':
        expected = "string";
        fits = json_is_string(value);
        break;
    case 'b':
        expected = "boolean";
        fits = json_is_boolean(value);
        break;
    case 'i':
    case 'I':
        expected = "integer";
        fits = json_is_integer(value);
        break;
    case 'f':
    case 'F':
        expected = "number";
        fits = json_is_number(value);
        break;
    case 'n':
        expected = "null";
        fits = json_is_null(value);
        break;
    case 'o':
    case 'O':
        break;
    default:
        /* No such format; json_vunpack_ex says so. What its argument would be nobody knows. */
        w->at += strlen(w->at);
        return;
    }
    if (is_present && expected && !fits)
        report(w, expected, value);
    else if (is_present)
        check_number(w, code, value);
    if (code != 'n')
        (void)va_arg(w->args, void *);
    if (code == 's' && *w->at == '%') {
        w->at++;
        (void)va_arg(w->args, size_t *);
    }
}

static void walk_value(walk *w, const json_t *value, bool is_present)
{
    skip_blanks(w);
    char code = *w->at;
    if (!code)
        return;
    w->at++;
    if (code == '{')
        walk_object(w, value, is_present);
    else if (code == '[')
        walk_array(w, value, is_present);
    else
        walk_scalar(w, code, value, is_present);
}

/* False: the error has been set. */
static bool check(sio_ctx *ctx, const json_t *args, const char *fmt, va_list list_args)
{
    walk w = { .ctx = ctx, .at = fmt };
    va_copy(w.args, list_args);
    size_t index = 0;
    for (skip_blanks(&w); *w.at && !w.is_found; skip_blanks(&w)) {
        if (*w.at == '!' || *w.at == '*') {
            w.at++;
            continue;
        }
        const json_t *item = json_array_get(args, index);
        snprintf(w.path, sizeof(w.path), "args[%zu]", index++);
        if (!item)
            report(&w, "", NULL);
        walk_value(&w, item, item != NULL);
    }
    va_end(w.args);
    return !w.is_found;
}

/* ---- unpacking ---- */

int sio_unpack(sio_ctx *ctx, const char *fmt, ...)
{
    json_t *args = sio_args(ctx);
    buf list_fmt = { 0 };
    json_error_t error;
    if (!args || !fmt || buf_append_char(&list_fmt, '[') < 0 ||
        buf_append_str(&list_fmt, fmt) < 0 || buf_append_char(&list_fmt, ']') < 0 ||
        !buf_cstr(&list_fmt)) {
        buf_deinit(&list_fmt);
        sio_fail(ctx, "%s", fmt ? "out of memory" : "sio_unpack: no format");
        return CARAFE_ERR_UNPACK;
    }
    va_list list_args;
    va_start(list_args, fmt);
    va_list again;
    va_copy(again, list_args);
    bool fits = check(ctx, args, fmt, again);
    int result = fits ? json_vunpack_ex(args, &error, 0, (const char *)list_fmt.data, list_args)
                      : CARAFE_ERR_UNPACK;
    if (fits && result < 0)
        sio_fail(ctx, "sio_unpack: %s", error.text);
    va_end(again);
    va_end(list_args);
    buf_deinit(&list_fmt);
    return result < 0 ? CARAFE_ERR_UNPACK : 0;
}
