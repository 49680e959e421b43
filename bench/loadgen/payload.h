/* The JSON value that goes to the server and must come back byte for byte:
 *
 *   {"t":1000000000000000,"data":"<printable characters>"}
 *
 * `t` has 16 digits and names the message; it stays below 2^53, so a server that keeps numbers as
 * doubles gives it back unchanged. The data are the same in every message of a run.
 */
#ifndef LOADGEN_PAYLOAD_H
#define LOADGEN_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_T_FIRST UINT64_C(1000000000000000)
#define PAYLOAD_T_END (UINT64_C(1) << 53)

typedef struct payload {
    char *text; /* `len` bytes with t = 0000000000000000 */
    size_t len;
} payload;

typedef enum payload_verdict {
    PAYLOAD_GOOD,
    PAYLOAD_DAMAGED, /* length and `t` are a payload's, other bytes differ */
    PAYLOAD_ALIEN,   /* not even that: which message it was cannot be told */
} payload_verdict;

/* Makes a payload with `data_len` characters of data. */
void payload_init(payload *p, size_t data_len);
void payload_deinit(payload *p);

/* Writes p->len bytes to `dst`. */
void payload_write(const payload *p, uint64_t t, char *dst);

/* Compares `text` with the payload. `*t` is set unless the verdict is PAYLOAD_ALIEN. */
payload_verdict payload_check(const payload *p, const char *text, size_t len, uint64_t *t);

#endif /* LOADGEN_PAYLOAD_H */
