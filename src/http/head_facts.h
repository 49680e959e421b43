/* The facts a server needs from the header fields of a request: framing, Host, Connection,
 * Expect. Part of head.c, which calls it for each field. */
#ifndef CARAFE_HTTP_HEAD_FACTS_H
#define CARAFE_HTTP_HEAD_FACTS_H

#include "base/error.h"
#include "http/head.h"

/* What was seen so far; all zero at the start of a head. */
typedef struct head_facts {
    slice host;            /* data is NULL before a Host header */
    slice transfer_coding; /* data is NULL before a Transfer-Encoding header */
    bool has_close;        /* Connection options */
    bool has_keep_alive;
    bool has_upgrade_option;
    bool has_upgrade; /* a non-empty Upgrade header */
    bool has_expect;  /* Expect: 100-continue */
} head_facts;

/* Sets out->problem and returns `code`. */
int http_head_refuse(http_head *out, int code, int status, const char *reason);

/* Looks at one header. Errors are those of http_head_parse. */
int http_head_facts_add(head_facts *facts, http_head *out, const http_header *header) MUST_USE;

/* Checks what only all headers together tell, and fills in `out`, of which the request line and
 * the target's host are there. */
int http_head_facts_finish(const head_facts *facts, http_head *out) MUST_USE;

#endif /* CARAFE_HTTP_HEAD_FACTS_H */
