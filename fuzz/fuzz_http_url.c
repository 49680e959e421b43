/* Covers http_path_decode, http_form_decode, the query functions, http_path_safe, and what reads
 * a file's name: http_mime_type. The first byte of the input is the room in the destination. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/mime.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also in builds without asserts. */
static void check(bool is_right)
{
    if (!is_right)
        abort();
}

/* A path that was found safe stays below its folder, whatever opens it. */
static void check_safe(const char *path)
{
    check(path[0] != '/' && !strstr(path, "//") && !strchr(path, '\\'));
    check(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 && !strstr(path, "/."));
    check(path[0] != '.' || strncmp(path, ".well-known", 11) == 0);
}

static void try_path(slice text, char *dst, size_t cap)
{
    ptrdiff_t len = http_path_decode(text, dst, cap);
    if (len < 0) {
        check(len == CARAFE_ERR_BAD_REQUEST || len == CARAFE_ERR_NOSPACE);
        return;
    }
    check((size_t)len < cap && strlen(dst) == (size_t)len && (size_t)len <= text.len);
    check(http_mime_type(slice_of(dst, (size_t)len)) != NULL);
    char *safe = malloc(cap);
    if (http_path_safe(slice_of(dst, (size_t)len), safe, cap) == 0)
        check_safe(safe);
    free(safe);
}

static void try_query(slice query, char *dst, size_t cap)
{
    slice rest = query;
    http_pair pair;
    size_t count = 0, empty_keys = 0;
    while (http_query_next(&rest, &pair)) {
        check(pair.key.data >= query.data && pair.value.data >= query.data);
        check(pair.key.data + pair.key.len <= query.data + query.len);
        check(pair.value.data + pair.value.len <= query.data + query.len);
        ptrdiff_t len = http_form_decode(pair.key, dst, cap);
        check(len < 0 ? len == CARAFE_ERR_NOSPACE : (size_t)len < cap && dst[len] == '\0');
        if (len >= 0 && !memchr(dst, '\0', (size_t)len))
            check(http_pair_is(&pair, dst) && http_query_count(query, dst) > 0);
        empty_keys += http_pair_is(&pair, "");
        count++;
    }
    check(count <= query.len && http_query_count(query, "") == empty_keys);
    bool is_there = http_query_count(query, "sid") > 0;
    check(is_there == (http_query_first(query, "sid", dst, cap) != CARAFE_ERR_NOT_FOUND));
    check(is_there == (http_query_last(query, "sid", dst, cap) != CARAFE_ERR_NOT_FOUND));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) /* counting each key is quadratic */
        return 0;
    const size_t cap = data[0] == 255 ? size : data[0];
    slice text = slice_of(data + 1, size - 1);
    char *dst = malloc(cap ? cap : 1);
    char *safe = malloc(cap ? cap : 1);
    try_path(text, dst, cap);
    try_query(text, dst, cap);
    if (http_path_safe(text, safe, cap) == 0)
        check_safe(safe);
    free(safe);
    free(dst);
    return 0;
}
