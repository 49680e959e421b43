#include "http/head.h"

#include <assert.h>
#include <string.h>

#include "http/chars.h"
#include "http/head_facts.h"

/* The scanner: where in a line the next byte is.
 *
 *            CR             LF           other
 *   START ────────► LEAD_LF ───► FIRST ────────► LINE      (one empty line may lead)
 *   START ──other─► LINE ──CR─► LINE_LF ──LF─► NEXT ──other─► LINE
 *                                              NEXT ──CR────► END_LF ──LF─► DONE
 *
 * START, FIRST, NEXT are left by scan_line_start, LINE by scan_line, the three with LF by
 * scan_line_end. Any byte without an arrow leads to FAILED. */
enum {
    SCAN_START = 0,
    SCAN_LEAD_LF,
    SCAN_FIRST,
    SCAN_LINE,
    SCAN_LINE_LF,
    SCAN_NEXT,
    SCAN_END_LF,
    SCAN_DONE,
    SCAN_FAILED
};

/* Bytes of a request line besides the target: method, " ", " HTTP/1.1". */
enum { REQUEST_LINE_EXTRA = HTTP_METHOD_SIZE_MAX + 10 };

static http_limits effective_limits(const http_limits *given)
{
    http_limits limits = given ? *given : (http_limits){0};
    if (!limits.head_size_max)
        limits.head_size_max = HTTP_HEAD_SIZE_MAX;
    if (!limits.target_size_max)
        limits.target_size_max = HTTP_TARGET_SIZE_MAX;
    if (!limits.header_size_max)
        limits.header_size_max = HTTP_HEADER_SIZE_MAX;
    if (!limits.header_count_max)
        limits.header_count_max = HTTP_HEADER_COUNT_MAX;
    assert(limits.header_count_max <= HTTP_HEADER_COUNT_MAX);
    return limits;
}

static int scan_fail(http_head_scanner *s, int code, int status, const char *reason)
{
    s->state = SCAN_FAILED;
    s->problem = (http_problem){status, reason};
    return code;
}

/* RFC 9112 2.2: a bare LF may be taken for a line end, which is what smuggling lives on. 5.2: a
 * line that begins with white space is obs-fold, or 2.2: is read differently by everyone. */
static int scan_bad_byte(http_head_scanner *s, uint8_t c)
{
    const char *reason = "control character in the head";
    if (c == '\n')
        reason = "LF without CR";
    else if (c == '\r')
        reason = "more than one empty line before the request";
    else if (c == ' ' || c == '\t')
        reason = "white space at the start of a line";
    return scan_fail(s, CARAFE_ERR_BAD_REQUEST, 400, reason);
}

/* The first byte of a line: START, FIRST and NEXT. */
static int scan_line_start(http_head_scanner *s, uint8_t c, const http_limits *limits)
{
    if (c == '\r' && s->state != SCAN_FIRST) {
        s->state = s->state == SCAN_START ? SCAN_LEAD_LF : SCAN_END_LF;
    } else {
        if (c == ' ' || !http_char_is(c, HTTP_CHAR_TEXT) || c == '\t')
            return scan_bad_byte(s, c);
        if (s->line_count > limits->header_count_max)
            return scan_fail(s, CARAFE_ERR_TOO_MANY, 431, "too many header fields");
        s->state = SCAN_LINE;
    }
    s->pos++;
    return 0;
}

/* The byte behind a CR: LEAD_LF, LINE_LF and END_LF. */
static int scan_line_end(http_head_scanner *s, uint8_t c)
{
    if (c != '\n')
        return scan_fail(s, CARAFE_ERR_BAD_REQUEST, 400, "CR without LF");
    if (s->state == SCAN_LEAD_LF) {
        s->state = SCAN_FIRST;
    } else if (s->state == SCAN_LINE_LF) {
        s->line_count++;
        s->state = SCAN_NEXT;
    } else {
        s->state = SCAN_DONE;
    }
    s->pos++;
    return 0;
}

/* Goes behind the line's CR, or to the end of the bytes. */
static int scan_line(http_head_scanner *s, const uint8_t *data, size_t len,
                     const http_limits *limits)
{
    s->pos += (uint32_t)http_text_span(data + s->pos, len - s->pos);
    /* RFC 9112 3: 414. Only a bound to stop early: the parser knows the target. */
    if (s->line_count == 0 && s->pos > limits->target_size_max + REQUEST_LINE_EXTRA + 2)
        return scan_fail(s, CARAFE_ERR_TOO_LARGE, 414, "request line too long");
    if (s->pos == len)
        return 0;
    if (data[s->pos] != '\r')
        return scan_bad_byte(s, data[s->pos]);
    s->state = SCAN_LINE_LF;
    s->pos++;
    return 0;
}

ptrdiff_t http_head_scan(http_head_scanner *s, const uint8_t *data, size_t len,
                         const http_limits *given)
{
    const http_limits limits = effective_limits(given);
    size_t end = len < limits.head_size_max ? len : limits.head_size_max;
    assert(s->pos <= end);
    if (s->state == SCAN_FAILED)
        return CARAFE_ERR_BAD_REQUEST;
    while (s->pos < end && s->state != SCAN_DONE) {
        if (s->state == SCAN_LINE)
            TRY(scan_line(s, data, end, &limits));
        else if (s->state == SCAN_LINE_LF || s->state == SCAN_LEAD_LF || s->state == SCAN_END_LF)
            TRY(scan_line_end(s, data[s->pos]));
        else
            TRY(scan_line_start(s, data[s->pos], &limits));
    }
    if (s->state == SCAN_DONE)
        return (ptrdiff_t)s->pos;
    if (end == limits.head_size_max)
        return scan_fail(s, CARAFE_ERR_TOO_LARGE, 431, "request head too large");
    return CARAFE_ERR_NEED_MORE;
}

static int bad_request(http_head *out, const char *reason)
{
    return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 400, reason);
}

bool http_is_token_char(uint8_t c)
{
    return http_char_is(c, HTTP_CHAR_TOKEN);
}

bool http_is_token(slice text)
{
    return text.len &&
           http_char_span((const uint8_t *)text.data, text.len, HTTP_CHAR_TOKEN) == text.len;
}

static http_method method_of(slice name)
{
    static const struct {
        slice name;
        http_method method;
    } METHODS[] = {
        {{"GET", 3}, HTTP_METHOD_GET},         {{"POST", 4}, HTTP_METHOD_POST},
        {{"OPTIONS", 7}, HTTP_METHOD_OPTIONS}, {{"HEAD", 4}, HTTP_METHOD_HEAD},
        {{"PUT", 3}, HTTP_METHOD_PUT},         {{"DELETE", 6}, HTTP_METHOD_DELETE},
        {{"PATCH", 5}, HTTP_METHOD_PATCH},     {{"TRACE", 5}, HTTP_METHOD_TRACE},
    };
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++)
        if (slice_eq(METHODS[i].name, name))
            return METHODS[i].method;
    return HTTP_METHOD_OTHER;
}

static int parse_method(http_head *out, slice name)
{
    if (!http_is_token(name))
        return bad_request(out, "malformed method");
    /* RFC 9112 3: methods longer than those implemented, and 9110 9.3.6: CONNECT is for proxies. */
    if (name.len > HTTP_METHOD_SIZE_MAX || slice_is(name, "CONNECT"))
        return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 501, "method not implemented");
    out->method_name = name;
    out->method = method_of(name);
    return 0;
}

/* RFC 9112 2.3: HTTP-version is case-sensitive, one digit each. */
static int parse_version(http_head *out, slice version)
{
    const uint8_t *v = (const uint8_t *)version.data;
    if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || !http_char_is(v[5], HTTP_CHAR_DIGIT) ||
        v[6] != '.' || !http_char_is(v[7], HTTP_CHAR_DIGIT))
        return bad_request(out, "malformed request line");
    if (v[5] != '1' || v[7] > '1')
        return http_head_refuse(out, CARAFE_ERR_BAD_REQUEST, 505, "HTTP version not supported");
    out->version_minor = (uint8_t)(v[7] - '0');
    return 0;
}

static void split_path(http_head *out, slice text)
{
    const char *mark = memchr(text.data, '?', text.len);
    out->path = text;
    out->query = (slice){NULL, 0};
    if (mark) {
        out->path.len = (size_t)(mark - text.data);
        out->query = slice_of(mark + 1, text.len - out->path.len - 1);
    }
}

/* RFC 9112 3.2.2: "http://host/path?query", as sent to a proxy; must be accepted. */
static int parse_absolute_target(http_head *out, slice target)
{
    size_t scheme_len = strlen("http:");
    if (target.len > scheme_len && (target.data[4] | 0x20) == 's')
        scheme_len++;
    slice scheme = {target.data, scheme_len};
    if (target.len < scheme_len + 2 ||
        !(slice_is_nocase(scheme, "http:") || slice_is_nocase(scheme, "https:")) ||
        memcmp(target.data + scheme_len, "//", 2) != 0)
        return bad_request(out, "malformed request target");
    slice rest = {target.data + scheme_len + 2, target.len - scheme_len - 2};
    size_t host_len = 0;
    while (host_len < rest.len && rest.data[host_len] != '/' && rest.data[host_len] != '?')
        host_len++;
    out->host = slice_of(rest.data, host_len);
    if (!http_is_host(out->host))
        return bad_request(out, "malformed host in the request target");
    split_path(out, slice_of(rest.data + host_len, rest.len - host_len));
    /* RFC 9110 4.2.3: the empty path is "/". One stands behind the scheme, so that the slice lies
     * in the head as all others do. */
    if (out->path.len == 0)
        out->path = slice_of(target.data + scheme_len, 1);
    return 0;
}

static int parse_target(http_head *out, slice target, const http_limits *limits)
{
    if (target.len > limits->target_size_max)
        return http_head_refuse(out, CARAFE_ERR_TOO_LARGE, 414, "request target too long");
    if (target.len == 0 ||
        http_char_span((const uint8_t *)target.data, target.len, HTTP_CHAR_TARGET) != target.len)
        return bad_request(out, "malformed request target");
    out->target = target;
    if (target.data[0] == '/') {
        split_path(out, target);
        return 0;
    }
    /* RFC 9112 3.2.4: the asterisk is for OPTIONS only. */
    if (out->method == HTTP_METHOD_OPTIONS && slice_is(target, "*")) {
        out->path = target;
        return 0;
    }
    return parse_absolute_target(out, target);
}

/* RFC 9112 3: method SP request-target SP HTTP-version, one space each. */
static int parse_request_line(http_head *out, slice line, const http_limits *limits)
{
    slice rest = line, method, target;
    if (!slice_split(&rest, ' ', &method) || !slice_split(&rest, ' ', &target) || !rest.data)
        return bad_request(out, "malformed request line");
    TRY(parse_method(out, method));
    TRY(parse_version(out, rest));
    return parse_target(out, target, limits);
}

/* The bytes not yet parsed. */
typedef struct head_input {
    const uint8_t *at;
    const uint8_t *end;
} head_input;

static bool take_line_end(head_input *in)
{
    if (in->end - in->at < 2 || in->at[0] != '\r' || in->at[1] != '\n')
        return false;
    in->at += 2;
    return true;
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. White space before the colon (5.1) and folded
 * lines (5.2) make a name that is no token. */
static int parse_header(http_head *out, head_input *in, const http_limits *limits)
{
    size_t left = (size_t)(in->end - in->at);
    size_t name_len = http_char_span(in->at, left, HTTP_CHAR_TOKEN);
    if (name_len == 0 || name_len == left || in->at[name_len] != ':')
        return bad_request(out, "malformed header name");
    const uint8_t *text = in->at + name_len + 1;
    size_t text_len = http_text_span(text, (size_t)(in->end - text));
    slice name = slice_of(in->at, name_len);
    slice value = slice_trim(slice_of(text, text_len));
    in->at = text + text_len;
    if (!take_line_end(in))
        return bad_request(out, "malformed header value");
    if (name.len + value.len > limits->header_size_max)
        return http_head_refuse(out, CARAFE_ERR_TOO_LARGE, 431, "header field too large");
    if (out->header_count == limits->header_count_max)
        return http_head_refuse(out, CARAFE_ERR_TOO_MANY, 431, "too many header fields");
    out->headers[out->header_count++] = (http_header){name, value};
    return 0;
}

int http_head_parse(http_head *out, http_header *headers, const uint8_t *data, size_t len,
                    const http_limits *given)
{
    const http_limits limits = effective_limits(given);
    head_input in = {data, data + len};
    head_facts facts = {0};
    *out = (http_head){.headers = headers};
    if (len > limits.head_size_max)
        return http_head_refuse(out, CARAFE_ERR_TOO_LARGE, 431, "request head too large");
    /* RFC 9112 2.2: an empty line before the request line is skipped; one, not more. */
    take_line_end(&in);
    slice line = slice_of(in.at, http_text_span(in.at, (size_t)(in.end - in.at)));
    in.at += line.len;
    if (!take_line_end(&in))
        return bad_request(out, "malformed request line");
    TRY(parse_request_line(out, line, &limits));
    while (!take_line_end(&in)) {
        TRY(parse_header(out, &in, &limits));
        TRY(http_head_facts_add(&facts, out, &out->headers[out->header_count - 1]));
    }
    if (in.at != in.end)
        return bad_request(out, "bytes behind the head");
    return http_head_facts_finish(&facts, out);
}

static void rebase_slice(slice *s, const uint8_t *from, const uint8_t *to)
{
    if (s->data)
        s->data = (const char *)to + (s->data - (const char *)from);
}

void http_head_rebase(http_head *head, const uint8_t *from, const uint8_t *to)
{
    slice *own[] = {&head->method_name, &head->target, &head->path, &head->query, &head->host};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        rebase_slice(own[i], from, to);
    for (size_t i = 0; i < head->header_count; i++) {
        rebase_slice(&head->headers[i].name, from, to);
        rebase_slice(&head->headers[i].value, from, to);
    }
}

bool http_head_next(const http_head *head, const char *name, size_t *at, slice *value)
{
    slice wanted = slice_str(name);
    while (*at < head->header_count) {
        const http_header *header = &head->headers[(*at)++];
        if (slice_eq_nocase(header->name, wanted)) {
            *value = header->value;
            return true;
        }
    }
    return false;
}

slice http_head_find(const http_head *head, const char *name)
{
    size_t at = 0;
    slice value = {NULL, 0};
    http_head_next(head, name, &at, &value);
    return value;
}

bool http_token_list_has(slice value, const char *token)
{
    slice wanted = slice_str(token), rest = value, part;
    while (slice_split(&rest, ',', &part))
        if (slice_eq_nocase(slice_trim(part), wanted))
            return true;
    return false;
}

bool http_head_list_has(const http_head *head, const char *name, const char *token)
{
    size_t at = 0;
    slice value;
    while (http_head_next(head, name, &at, &value))
        if (http_token_list_has(value, token))
            return true;
    return false;
}
