#include "buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check_memory(void *p)
{
    if (p == NULL) {
        fputs("loadgen: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

void *alloc_zeroed(size_t count, size_t size)
{
    return check_memory(calloc(count > 0 ? count : 1, size));
}

uint8_t *buf_reserve(buf *b, size_t extra)
{
    if (b->cap - b->len < extra) {
        size_t cap = b->cap > 0 ? b->cap * 2 : 256;
        while (cap - b->len < extra)
            cap *= 2;
        b->data = check_memory(realloc(b->data, cap));
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_append(buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void buf_consume(buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    if (b->len > 0)
        memmove(b->data, b->data + len, b->len);
}

void buf_deinit(buf *b)
{
    free(b->data);
    *b = (buf){0};
}
