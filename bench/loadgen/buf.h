/* A growable run of bytes.
 *
 * Running out of memory ends the program: a load generator that cannot hold its own connections
 * has no figures to give.
 */
#ifndef LOADGEN_BUF_H
#define LOADGEN_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct buf {
    uint8_t *data; /* NULL while cap is 0 */
    size_t len;    /* <= cap */
    size_t cap;
} buf;

/* Makes room for `extra` bytes behind the content and returns where they begin. They count only
 * after the caller has raised `len`; the pointer lives until the next call on `b`. */
uint8_t *buf_reserve(buf *b, size_t extra);

void buf_append(buf *b, const void *bytes, size_t len);

/* Drops the first `len` bytes. */
void buf_consume(buf *b, size_t len);

void buf_deinit(buf *b);

/* calloc that does not return NULL. */
void *alloc_zeroed(size_t count, size_t size);

#endif /* LOADGEN_BUF_H */
