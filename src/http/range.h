/* Conditional and range requests: what to send of a file.
 *
 * Pure: the time is passed in; any thread. Spec: RFC 9110 13 (preconditions), 14 (ranges). */
#ifndef CARAFE_HTTP_RANGE_H
#define CARAFE_HTTP_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "http/head.h"

/* What is known of the file. */
typedef struct http_entity {
    slice etag;      /* with its quotes, and W/ when weak; empty when there is none */
    int64_t mtime_s; /* Unix time of the last change; -1 when not known */
    uint64_t size;   /* bytes */
} http_entity;

/* The part to send: bytes first .. first + len of the file. */
typedef struct http_range {
    uint64_t first;
    uint64_t len;
} http_range;

/* Reads "bytes=first-last", "bytes=first-" or "bytes=-suffix" against a file of `size` bytes.
 *
 * Returns 206 and the range, 416 when it lies outside of the file, or 200 and the whole file when
 * the header is to be ignored: another unit, bad syntax, or several ranges (which a server may
 * answer whole, and which are mostly sent to make it work hard). */
int http_range_parse(slice value, uint64_t size, http_range *out);

/* Decides about a request for a file, in the order of RFC 9110 13.2.2: If-Match,
 * If-Unmodified-Since, If-None-Match, If-Modified-Since, Range with If-Range. `now_s` is for dates
 * with two-digit years.
 *
 * Returns 200 (send the whole), 206 (send `*out`), 304, 412 or 416. `*out` is always written, the
 * whole file unless it is 206. */
int http_range_decide(const http_head *head, const http_entity *entity, int64_t now_s,
                      http_range *out);

#endif /* CARAFE_HTTP_RANGE_H */
