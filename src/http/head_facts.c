#include "http/head_facts.h"

#include <string.h>

#include "http/chars.h"

int http_head_refuse(http_head *out, int code, int status, const char *reason)
{
    out->problem = (http_problem){status, reason};
    return code;
}

static int bad_request(http_head *out, const char *reason)
{
    return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 400, reason);
}

/* RFC 3986 3.2.2: IP-literal; of the future forms ("v1.") there are none. */
static bool is_ip_literal(const uint8_t *text, size_t len)
{
    if (len < 4 || text[len - 1] != ']')
        return false;
    for (size_t i = 1; i < len - 1; i++)
        if (!http_char_is(text[i], HTTP_CHAR_HEX) && text[i] != ':' && text[i] != '.')
            return false;
    return true;
}

/* RFC 3986 3.2.2: reg-name and IPv4address. */
static bool is_host_name(const uint8_t *text, size_t len)
{
    if (http_char_span(text, len, HTTP_CHAR_HOST) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '%' && (len - i < 3 || !http_char_is(text[i + 1], HTTP_CHAR_HEX) ||
                               !http_char_is(text[i + 2], HTTP_CHAR_HEX)))
            return false;
    return len > 0;
}

bool http_is_host(slice text)
{
    enum { PORT_DIGITS_MAX = 5 };
    const uint8_t *data = (const uint8_t *)text.data;
    size_t len = text.len, digits = 0;
    while (digits < len && http_char_is(data[len - 1 - digits], HTTP_CHAR_DIGIT))
        digits++;
    /* RFC 3986 3.2.3: the port may be empty behind its colon. "[::1]" ends in no digit, and in an
     * address without brackets the colons that are left make it a bad name. */
    if (digits <= PORT_DIGITS_MAX && digits < len && data[len - 1 - digits] == ':')
        len -= digits + 1;
    if (len > 0 && data[0] == '[')
        return is_ip_literal(data, len);
    return is_host_name(data, len);
}

/* RFC 9112 3.2: exactly one Host; an invalid one is refused. */
static int add_host(head_facts *facts, http_head *out, slice value)
{
    if (facts->host.data)
        return bad_request(out, "more than one Host header");
    if (value.len && !http_is_host(value))
        return bad_request(out, "malformed Host header");
    facts->host = value;
    return 0;
}

/* RFC 9112 6.3: an invalid Content-Length cannot be recovered from. A server may accept a list of
 * equal values; this one does not, as the list is a sign of a proxy that did not look. */
static int add_content_length(http_head *out, slice value)
{
    if (out->has_content_length)
        return bad_request(out, "more than one Content-Length header");
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = (uint8_t)value.data[i];
        if (!http_char_is(c, HTTP_CHAR_DIGIT))
            return bad_request(out, "malformed Content-Length header");
        if (length > (INT64_MAX - 9) / 10)
            return http_head_refuse(out, CARAFE_ERR_TOO_LARGE, 413, "Content-Length too large");
        length = length * 10 + (uint64_t)(c - '0');
    }
    if (value.len == 0)
        return bad_request(out, "malformed Content-Length header");
    out->content_length = length;
    out->has_content_length = true;
    return 0;
}

/* RFC 9112 6.1, 6.3: chunked must be the last coding (else 400), and a coding that is not
 * implemented is answered 501. Only "chunked" alone is implemented. */
static int check_transfer_coding(http_head *out, slice value)
{
    if (slice_is_nocase(value, "chunked"))
        return 0;
    slice rest = value, part, last = {NULL, 0};
    bool has_chunked = false;
    while (slice_split(&rest, ',', &part)) {
        last = slice_trim(part);
        if (!http_is_token(last))
            return bad_request(out, "malformed Transfer-Encoding header");
        if (rest.data && slice_is_nocase(last, "chunked"))
            has_chunked = true;
    }
    if (has_chunked)
        return bad_request(out, "chunked is not the last transfer coding");
    return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 501, "unknown transfer coding");
}

static int add_transfer_coding(head_facts *facts, http_head *out, slice value)
{
    if (facts->transfer_coding.data)
        return bad_request(out, "more than one Transfer-Encoding header");
    facts->transfer_coding = value;
    return 0;
}

/* RFC 9110 10.1.1: other expectations may be answered 417. */
static int add_expect(head_facts *facts, http_head *out, slice value)
{
    if (!slice_is_nocase(value, "100-continue"))
        return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 417, "unknown expectation");
    facts->has_expect = true;
    return 0;
}

/* RFC 9110 7.6.1: a list of options, which are tokens; more than one header makes one list. */
static void add_connection(head_facts *facts, slice value)
{
    slice rest = value, part;
    while (slice_split(&rest, ',', &part)) {
        slice option = slice_trim(part);
        if (option.len == 5)
            facts->has_close |= slice_is_nocase(option, "close");
        else if (option.len == 7)
            facts->has_upgrade_option |= slice_is_nocase(option, "upgrade");
        else if (option.len == 10)
            facts->has_keep_alive |= slice_is_nocase(option, "keep-alive");
    }
}

int http_head_facts_add(head_facts *facts, http_head *out, const http_header *header)
{
    slice name = header->name;
    slice value = header->value;
    /* By length first: most headers are none of these. */
    switch (name.len) {
    case 4:
        return slice_is_nocase(name, "host") ? add_host(facts, out, value) : 0;
    case 6:
        return slice_is_nocase(name, "expect") ? add_expect(facts, out, value) : 0;
    case 7:
        if (value.len && slice_is_nocase(name, "upgrade"))
            facts->has_upgrade = true;
        return 0;
    case 10:
        if (slice_is_nocase(name, "connection"))
            add_connection(facts, value);
        return 0;
    case 14:
        return slice_is_nocase(name, "content-length") ? add_content_length(out, value) : 0;
    case 17:
        if (slice_is_nocase(name, "transfer-encoding"))
            return add_transfer_coding(facts, out, value);
        return 0;
    default:
        return 0;
    }
}

static int finish_framing(const head_facts *facts, http_head *out)
{
    if (!facts->transfer_coding.data)
        return 0;
    /* RFC 9112 6.1: both together is an attempt to smuggle a request, or an error that makes the
     * same damage; Transfer-Encoding in HTTP/1.0 is faulty framing. */
    if (out->has_content_length)
        return bad_request(out, "Content-Length with Transfer-Encoding");
    if (out->version_minor == 0)
        return bad_request(out, "Transfer-Encoding in HTTP/1.0");
    TRY(check_transfer_coding(out, facts->transfer_coding));
    out->is_chunked = true;
    return 0;
}

int http_head_facts_finish(const head_facts *facts, http_head *out)
{
    bool is_1_0 = out->version_minor == 0;
    TRY(finish_framing(facts, out));
    if (!facts->host.data && !is_1_0)
        return bad_request(out, "no Host header");
    /* RFC 9112 3.2.2: the host of an absolute target is the one that counts. */
    if (!out->host.data)
        out->host = facts->host;
    /* RFC 9112 9.3. */
    out->keep_alive = !facts->has_close && (!is_1_0 || facts->has_keep_alive);
    /* RFC 9110 7.8, 10.1.1: an HTTP/1.0 peer's Upgrade and 100-continue are ignored. */
    out->is_upgrade = facts->has_upgrade && facts->has_upgrade_option && !is_1_0;
    out->expects_continue = facts->has_expect && http_head_has_body(out) && !is_1_0;
    return 0;
}
