/* HTTP/1.1 request heads: from bytes to slices and the facts that matter.
 *
 * Pure: no sockets, clock, globals or allocation; any thread, on its own data.
 * Spec: RFC 9112 (syntax, framing), RFC 9110 (fields). Strict: where the RFCs let a server repair
 * a request or refuse it, it is refused, so that no proxy in front can read it in another way.
 *
 *   GET /path?query HTTP/1.1 CRLF      the scanner finds the end while bytes arrive,
 *   Name: value CRLF                   then the parser takes the whole head apart
 *   CRLF
 */
#ifndef CARAFE_HTTP_HEAD_H
#define CARAFE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    HTTP_HEADER_COUNT_MAX = 100,      /* header lines of a head */
    HTTP_HEAD_SIZE_MAX = 32 * 1024,   /* bytes of a head, all line ends included */
    HTTP_TARGET_SIZE_MAX = 8 * 1024,  /* bytes of the request target */
    HTTP_HEADER_SIZE_MAX = 16 * 1024, /* bytes of one name and its value */
    HTTP_METHOD_SIZE_MAX = 32         /* bytes of the method; all known ones are shorter */
};

/* What a head may be. A zero field means the default above. */
typedef struct http_limits {
    uint32_t head_size_max;
    uint32_t target_size_max;
    uint32_t header_size_max;
    uint16_t header_count_max; /* at most HTTP_HEADER_COUNT_MAX */
} http_limits;

/* Why a request is refused and what to answer; all zero when it is not. */
typedef struct http_problem {
    int status;         /* 400, 413, 414, 417, 431, 501 or 505 */
    const char *reason; /* static, short, for the log and the answer's body */
} http_problem;

/* The state of finding a head's end. All zero at the start of each request. */
typedef struct http_head_scanner {
    uint32_t pos;        /* bytes looked at so far, never looked at again */
    uint16_t line_count; /* ended lines, the request line included */
    uint8_t state;       /* where in a line the next byte is, see head.c */
    http_problem problem;
} http_head_scanner;

/* Looks at the bytes that came since the last call. `data` are all bytes of the request received
 * so far (`len`, they may have moved in memory), and may hold more than the head.
 *
 * Returns the head's length with its empty line (and with one empty line in front, which is
 * allowed), or, and the last three with `problem` set,
 * CARAFE_ERR_NEED_MORE   not complete yet
 * CARAFE_ERR_BAD_REQUEST a bare CR or LF, a control character
 * CARAFE_ERR_TOO_LARGE   head or request line over the limit
 * CARAFE_ERR_TOO_MANY    too many header lines
 * and an error as soon as it is sure, not only at the end of the head. After an error the scanner
 * returns BAD_REQUEST. `limits` may be NULL. */
ptrdiff_t http_head_scan(http_head_scanner *s, const uint8_t *data, size_t len,
                         const http_limits *limits) MUST_USE;

typedef enum http_method {
    HTTP_METHOD_OTHER = 0, /* a well-formed name that is none of these */
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_TRACE,
} http_method;

typedef struct http_header {
    slice name;  /* as sent; compare without case */
    slice value; /* without white space around it; data is never NULL */
} http_header;

/* A parsed head. Owns nothing: every slice points into the bytes it was parsed from. */
typedef struct http_head {
    http_method method;
    slice method_name;     /* as sent: methods are case-sensitive */
    slice target;          /* as sent */
    slice path;            /* still percent-encoded; begins with '/', or is "*" (OPTIONS only) */
    slice query;           /* behind the '?'; data is NULL when there is no '?' */
    slice host;            /* of an absolute target, else of Host; may be empty, NULL in 1.0 */
    uint8_t version_minor; /* 0 or 1 */
    bool has_content_length;
    bool is_chunked;         /* never together with has_content_length */
    bool keep_alive;         /* the peer wants to use the connection again */
    bool expects_continue;   /* Expect: 100-continue, and a body is to come */
    bool is_upgrade;         /* Upgrade with a Connection that names it; see http_head_find */
    uint64_t content_length; /* bytes; 0 without the header; at most INT64_MAX */
    http_header *headers;    /* the caller's array, in the order sent */
    size_t header_count;
    http_problem problem; /* on failure */
} http_head;

/* Takes apart a head of which http_head_scan returned `len`.
 *
 * `headers` holds HTTP_HEADER_COUNT_MAX entries (or limits->header_count_max), is the caller's and
 * must live as long as `out` is used. On failure only out->problem is valid. After a failure the
 * connection cannot go on: where the body begins and ends is not known. `limits` may be NULL.
 *
 * Returns 0, or
 * CARAFE_ERR_BAD_REQUEST syntax, framing or Host (400), Expect (417), a transfer coding that is
 *                        not known or CONNECT (501), version (505)
 * CARAFE_ERR_TOO_LARGE   target (414), header line or head (431), Content-Length (413)
 * CARAFE_ERR_TOO_MANY    header lines (431) */
int http_head_parse(http_head *out, http_header *headers, const uint8_t *data, size_t len,
                    const http_limits *limits) MUST_USE;

/* Makes all slices point into a copy of the head's bytes at `to`. The bytes at `from` must still
 * be there. out->headers is not moved, its entries are changed. */
void http_head_rebase(http_head *head, const uint8_t *from, const uint8_t *to);

/* True when bytes of a body follow. */
static inline bool http_head_has_body(const http_head *head)
{
    return head->is_chunked || head->content_length > 0;
}

/* The value of the first header of that name, case ignored; data is NULL when there is none. */
slice http_head_find(const http_head *head, const char *name);

/* Walks the headers of that name in order: start with *at = 0; false at the end. */
bool http_head_next(const http_head *head, const char *name, size_t *at, slice *value);

/* True when the comma-separated list has that token, case ignored ("close" in Connection). */
bool http_token_list_has(slice value, const char *token);

/* The same over all headers of that name together. */
bool http_head_list_has(const http_head *head, const char *name, const char *token);

/* True for the bytes of an RFC 9110 token (5.6.2), and when all of a non-empty text are. */
bool http_is_token_char(uint8_t c);
bool http_is_token(slice text);

/* True for host [":" port] of printable URI characters; the empty text is none. */
bool http_is_host(slice text);

#endif /* CARAFE_HTTP_HEAD_H */
