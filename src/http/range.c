#include "http/range.h"

#include <stdbool.h>
#include <string.h>

#include "http/chars.h"
#include "http/date.h"

/* Takes digits off the front; a value too large for 64 bits becomes the largest, which lies
 * behind the end of every file as well. False when there is none. */
static bool take_number(slice *text, uint64_t *value)
{
    size_t count = http_char_span((const uint8_t *)text->data, text->len, HTTP_CHAR_DIGIT);
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t digit = (uint64_t)(text->data[i] - '0');
        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    *text = slice_of(text->data + count, text->len - count);
    return count > 0;
}

static int suffix_range(uint64_t suffix, uint64_t size, http_range *out)
{
    if (suffix == 0)
        return 416;
    if (size == 0)
        return 200; /* satisfiable by RFC 9110 14.1.2, but Content-Range cannot say it */
    out->len = suffix < size ? suffix : size;
    out->first = size - out->len;
    return 206;
}

int http_range_parse(slice value, uint64_t size, http_range *out)
{
    static const char UNIT[] = "bytes=";
    const size_t unit_len = sizeof(UNIT) - 1;
    uint64_t first, last = UINT64_MAX;
    *out = (http_range){0, size};
    if (value.len < unit_len || !slice_is_nocase(slice_of(value.data, unit_len), UNIT))
        return 200;
    slice rest = slice_trim(slice_of(value.data + unit_len, value.len - unit_len));
    bool has_first = take_number(&rest, &first);
    if (rest.len == 0 || rest.data[0] != '-')
        return 200;
    rest = slice_of(rest.data + 1, rest.len - 1);
    bool has_last = rest.len > 0;
    if ((has_last && !take_number(&rest, &last)) || rest.len > 0)
        return 200;
    if (!has_first)
        return has_last ? suffix_range(last, size, out) : 200;
    if (first > last)
        return 200; /* RFC 9110 14.1.1: invalid, so the header is ignored */
    if (first >= size)
        return 416;
    if (last >= size)
        last = size - 1;
    *out = (http_range){first, last - first + 1};
    return 206;
}

static bool is_weak(slice etag)
{
    return slice_starts_with(etag, SLICE_LITERAL("W/"));
}

static slice opaque_tag(slice etag)
{
    return is_weak(etag) ? slice_of(etag.data + 2, etag.len - 2) : etag;
}

/* RFC 9110 8.8.3.2. Weak: the texts are equal; strong: and neither is weak. */
static bool etag_matches_weakly(slice a, slice b)
{
    return a.len && slice_eq(opaque_tag(a), opaque_tag(b));
}

static bool etag_matches_strongly(slice a, slice b)
{
    return a.len && !is_weak(a) && !is_weak(b) && slice_eq(a, b);
}

typedef bool etag_compare_fn(slice a, slice b);

/* Cuts the next tag off a list; commas may stand inside of the quotes. False at the end, and at
 * what is no tag. */
static bool take_etag(slice *list, slice *etag)
{
    while (list->len && (list->data[0] == ',' || list->data[0] == ' ' || list->data[0] == '\t'))
        *list = slice_of(list->data + 1, list->len - 1);
    size_t open = is_weak(*list) ? 2 : 0;
    if (list->len < open + 2 || list->data[open] != '"')
        return false;
    const char *close = memchr(list->data + open + 1, '"', list->len - open - 1);
    if (!close)
        return false;
    size_t len = (size_t)(close - list->data) + 1;
    *etag = slice_of(list->data, len);
    *list = slice_of(list->data + len, list->len - len);
    return true;
}

/* True when one of the tags of all headers of that name, or "*", is the entity's. */
static bool etag_list_matches(const http_head *head, const char *name, slice etag,
                              etag_compare_fn *matches)
{
    size_t at = 0;
    slice list, candidate;
    while (http_head_next(head, name, &at, &list)) {
        if (slice_is(list, "*"))
            return true;
        while (take_etag(&list, &candidate))
            if (matches(etag, candidate))
                return true;
    }
    return false;
}

/* True when there is such a header, the file's time is known, and the date is a date: a date that
 * cannot be read is ignored (RFC 9110 13.1.3, 13.1.4). */
static bool date_of(const http_head *head, const char *name, const http_entity *entity,
                    int64_t now_s, int64_t *date_s)
{
    slice value = http_head_find(head, name);
    return value.data && entity->mtime_s >= 0 && http_date_parse(value, now_s, date_s) == 0;
}

/* RFC 9110 13.2.2, steps 1 and 2. */
static bool fails_precondition(const http_head *head, const http_entity *entity, int64_t now_s)
{
    int64_t date_s;
    if (http_head_find(head, "if-match").data)
        return !etag_list_matches(head, "if-match", entity->etag, etag_matches_strongly);
    return date_of(head, "if-unmodified-since", entity, now_s, &date_s) && entity->mtime_s > date_s;
}

/* RFC 9110 13.2.2, steps 3 and 4: the client has the file already. */
static bool is_not_modified(const http_head *head, const http_entity *entity, int64_t now_s)
{
    int64_t date_s;
    if (http_head_find(head, "if-none-match").data)
        return etag_list_matches(head, "if-none-match", entity->etag, etag_matches_weakly);
    return (head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD) &&
           date_of(head, "if-modified-since", entity, now_s, &date_s) && entity->mtime_s <= date_s;
}

/* RFC 9110 13.1.5: the range is only wanted of the file the client knows. A date must be exactly
 * the file's, and older than the present second, in which the file may change once more. */
static bool if_range_holds(const http_head *head, const http_entity *entity, int64_t now_s)
{
    int64_t date_s;
    slice value = http_head_find(head, "if-range"), etag;
    if (!value.data)
        return true;
    if (take_etag(&value, &etag))
        return value.len == 0 && etag_matches_strongly(entity->etag, etag);
    return date_of(head, "if-range", entity, now_s, &date_s) && date_s == entity->mtime_s &&
           date_s < now_s;
}

int http_range_decide(const http_head *head, const http_entity *entity, int64_t now_s,
                      http_range *out)
{
    *out = (http_range){0, entity->size};
    if (fails_precondition(head, entity, now_s))
        return 412;
    bool is_get = head->method == HTTP_METHOD_GET;
    if (is_not_modified(head, entity, now_s))
        return is_get || head->method == HTTP_METHOD_HEAD ? 304 : 412;
    /* RFC 9110 14.2: Range is defined for GET only. Two of them are as good as none. */
    size_t at = 0;
    slice range, other;
    if (!is_get || !http_head_next(head, "range", &at, &range) ||
        http_head_next(head, "range", &at, &other) || !if_range_holds(head, entity, now_s))
        return 200;
    return http_range_parse(range, entity->size, out);
}
