/* Covers http_head_scan, http_head_parse, http_head_rebase, the lookups, and what reads header
 * values: http_range_decide, http_date_parse, http_accept_encoding.
 *
 * The first byte of the input is the size of the pieces in which the scanner gets the rest. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/accept.h"
#include "http/head.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also in builds without asserts. */
static void check(bool is_right)
{
    if (!is_right)
        abort();
}

static void check_inside(slice part, const uint8_t *data, size_t len)
{
    const uint8_t *at = (const uint8_t *)part.data;
    if (at)
        check(at >= data && part.len <= len && at <= data + (len - part.len));
    else
        check(part.len == 0);
}

static void check_head(const http_head *head, const uint8_t *data, size_t len)
{
    check_inside(head->method_name, data, len);
    check_inside(head->target, data, len);
    check_inside(head->path, data, len);
    check_inside(head->query, data, len);
    check_inside(head->host, data, len);
    check(head->method_name.len > 0 && head->path.len > 0);
    check(head->path.data[0] == '/' || slice_is(head->path, "*"));
    check(head->header_count <= HTTP_HEADER_COUNT_MAX);
    check(!(head->is_chunked && head->has_content_length));
    check(head->content_length <= INT64_MAX);
    check(head->version_minor == 0 || http_head_find(head, "host").data);
    for (size_t i = 0; i < head->header_count; i++) {
        check_inside(head->headers[i].name, data, len);
        check_inside(head->headers[i].value, data, len);
        check(http_is_token(head->headers[i].name) && head->headers[i].value.data);
        check(!memchr(head->headers[i].value.data, '\n', head->headers[i].value.len));
        check(!memchr(head->headers[i].value.data, '\r', head->headers[i].value.len));
        check(!memchr(head->headers[i].value.data, '\0', head->headers[i].value.len));
    }
}

/* What the layers above do with a head. */
static void use_head(const http_head *head)
{
    static const char *const OFFERS[] = {"br", "gzip"};
    const http_entity entity = {slice_str("\"a\""), 784111777, 1000};
    http_range range;
    int status = http_range_decide(head, &entity, 1767225600, &range);
    check(range.first <= entity.size && range.len <= entity.size - range.first);
    check(status == 206 || (range.first == 0 && range.len == entity.size));
    int picked = http_accept_encoding(http_head_find(head, "accept-encoding"), OFFERS, 2);
    check(picked >= HTTP_ENCODING_IDENTITY && picked < 2);
    check(!head->is_upgrade || http_head_list_has(head, "connection", "upgrade"));
}

static ptrdiff_t scan_in_pieces(const uint8_t *data, size_t len, size_t piece, int *status)
{
    http_head_scanner scanner = {0};
    ptrdiff_t result = CARAFE_ERR_NEED_MORE;
    for (size_t n = 0; result == CARAFE_ERR_NEED_MORE && n < len;) {
        n = len - n < piece ? len : n + piece;
        result = http_head_scan(&scanner, data, n, NULL);
    }
    *status = scanner.problem.status;
    return result;
}

static void parse(const uint8_t *data, size_t len)
{
    http_head head;
    http_header headers[HTTP_HEADER_COUNT_MAX];
    int result = http_head_parse(&head, headers, data, len, NULL);
    if (result < 0) {
        check(head.problem.status >= 400 && head.problem.reason);
        return;
    }
    check(head.problem.status == 0);
    check_head(&head, data, len);
    use_head(&head);
    uint8_t *copy = malloc(len);
    memcpy(copy, data, len);
    http_head_rebase(&head, data, copy);
    check_head(&head, copy, len);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const size_t piece = (size_t)data[0] + 1;
    int whole_status, piece_status;
    data++;
    size--;
    ptrdiff_t whole = scan_in_pieces(data, size, size, &whole_status);
    ptrdiff_t in_pieces = scan_in_pieces(data, size, piece, &piece_status);
    check(whole == in_pieces && whole_status == piece_status);
    check(whole != 0 && whole <= (ptrdiff_t)size);
    if (whole > 0) {
        /* A copy of the head's size, so that a read behind it is seen. */
        uint8_t *head = malloc((size_t)whole);
        memcpy(head, data, (size_t)whole);
        parse(head, (size_t)whole);
        free(head);
    }
    /* The parser does not rely on the scanner: what that refuses, it refuses as well. */
    http_head head;
    http_header headers[HTTP_HEADER_COUNT_MAX];
    if (http_head_parse(&head, headers, data, size, NULL) == 0)
        check(whole == (ptrdiff_t)size);
    return 0;
}
