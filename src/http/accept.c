#include "http/accept.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "http/chars.h"
#include "http/head.h"

/* Thousandths, as a q-value has three digits at most. */
enum { Q_ONE = 1000, Q_UNSET = -1 };

/* RFC 9110 12.4.2: "0" or "1" with up to three digits, which are zeros behind the "1"; -1 for
 * anything else. */
static int parse_q(slice text)
{
    static const int WEIGHT[] = {100, 10, 1};
    if (text.len == 0 || text.len > 5 || text.data[0] < '0' || text.data[0] > '1' ||
        (text.len > 1 && text.data[1] != '.'))
        return -1;
    int q = (text.data[0] - '0') * Q_ONE;
    for (size_t i = 2; i < text.len; i++) {
        if (!http_char_is((uint8_t)text.data[i], HTTP_CHAR_DIGIT))
            return -1;
        q += (text.data[i] - '0') * WEIGHT[i - 2];
    }
    return q <= Q_ONE ? q : -1;
}

/* Reads "gzip;q=0.5"; false when it has another syntax. */
static bool parse_member(slice text, slice *name, int *q)
{
    slice rest = text, part;
    *q = Q_ONE;
    if (!slice_split(&rest, ';', &part))
        return false;
    *name = slice_trim(part);
    if (!rest.data)
        return http_is_token(*name);
    slice weight = slice_trim(rest);
    if (weight.len < 2 || !slice_is_nocase(slice_of(weight.data, 2), "q="))
        return false;
    *q = parse_q(slice_of(weight.data + 2, weight.len - 2));
    return *q >= 0 && http_is_token(*name);
}

/* RFC 9110 8.4.1.3: x-gzip is gzip. */
static bool is_coding(slice name, const char *coding)
{
    return slice_is_nocase(name, coding) ||
           (slice_is_nocase(name, "x-gzip") && strcmp(coding, "gzip") == 0);
}

/* The q-value the list gives to a coding: its own, else that of "*", else Q_UNSET. */
static int q_of(slice value, const char *coding)
{
    slice rest = value, part, name;
    int q, own = Q_UNSET, any = Q_UNSET;
    while (slice_split(&rest, ',', &part)) {
        if (!parse_member(slice_trim(part), &name, &q))
            continue;
        if (is_coding(name, coding))
            own = q;
        else if (slice_is(name, "*"))
            any = q;
    }
    return own != Q_UNSET ? own : any;
}

int http_accept_encoding(slice value, const char *const *offers, size_t count)
{
    int best = HTTP_ENCODING_IDENTITY;
    int best_q = 0;
    for (size_t i = 0; i < count; i++) {
        int q = q_of(value, offers[i]);
        if (q > best_q) {
            best_q = q;
            best = (int)i;
        }
    }
    /* The plain body needs no mention to be accepted, but only a mention gives it a weight. */
    if (best != HTTP_ENCODING_IDENTITY && q_of(value, "identity") > best_q)
        return HTTP_ENCODING_IDENTITY;
    return best;
}
