#include "socketio/packet.h"

#include <assert.h>
#include <string.h>

#include "socketio/json_scan.h"
#include "socketio/payload.h"

enum {
    COUNT_DIGITS_MAX = 10, /* of an attachment count; leading zeros are legal, but not a million */
    UINT64_DIGITS_MAX = 20,
};

/* The text not yet decoded. */
typedef struct reader {
    char *at;
    char *end;
} reader;

static int refuse(sio_packet *out, const char *reason)
{
    *out = (sio_packet){.error = reason};
    return CARAFE_ERR_BAD_PACKET;
}

static bool is_binary(sio_packet_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static int read_type(reader *r, sio_packet *out)
{
    if (*r->at < '0' + SIO_CONNECT || *r->at > '0' + SIO_BINARY_ACK)
        return refuse(out, "unknown packet type");
    out->type = (sio_packet_type)(*r->at++ - '0');
    return 0;
}

/* <digits>'-', in binary packets only. A huge number is refused before it can overflow. */
static int read_attachment_count(reader *r, size_t count_max, sio_packet *out)
{
    if (!is_binary(out->type))
        return 0;
    const char *digits = r->at;
    size_t count = 0;
    while (r->at < r->end && json_is_digit(*r->at)) {
        count = count * 10 + (size_t)(*r->at++ - '0');
        if (count > count_max || r->at - digits > COUNT_DIGITS_MAX)
            return refuse(out, "too many attachments");
    }
    if (r->at == digits || r->at == r->end || *r->at != '-')
        return refuse(out, "binary packet without attachment count");
    r->at++;
    out->attachment_count = count;
    return 0;
}

/* From '/' to the next comma or, as old clients write it, to the end. */
static int read_namespace(reader *r, size_t len_max, sio_packet *out)
{
    out->ns = SLICE_LITERAL("/");
    if (r->at == r->end || *r->at != '/')
        return 0;
    size_t left = (size_t)(r->end - r->at);
    const char *comma = memchr(r->at, ',', left > len_max ? len_max + 1 : left);
    size_t len = comma ? (size_t)(comma - r->at) : left;
    if (len > len_max)
        return refuse(out, "namespace too long");
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)r->at[i] < 0x20)
            return refuse(out, "control character in namespace");
    }
    out->ns = slice_of(r->at, len);
    r->at += len + (comma ? 1 : 0);
    return 0;
}

static int read_id(reader *r, sio_packet *out)
{
    const char *digits = r->at;
    uint64_t id = 0;
    while (r->at < r->end && json_is_digit(*r->at)) {
        uint64_t digit = (uint64_t)(*r->at++ - '0');
        id = id > (UINT64_MAX - digit) / 10 ? UINT64_MAX : id * 10 + digit;
        if (r->at - digits > SIO_ID_DIGITS_MAX)
            return refuse(out, "ack id too long");
    }
    out->id_digits = slice_of(digits, (size_t)(r->at - digits));
    out->has_id = out->id_digits.len > 0;
    out->id = id;
    return 0;
}

/* Checks the data that is left, and cuts white space off its end. */
static int check_json(reader *r, const json_limits *limits, sio_packet *out)
{
    int rc = json_text_check(r->at, (size_t)(r->end - r->at), limits);
    if (rc < 0)
        return refuse(out, rc == CARAFE_ERR_TOO_DEEP ? "JSON nested too deep" : "malformed JSON");
    while (json_is_space(r->end[-1]))
        r->end--;
    return 0;
}

bool sio_event_is_reserved(slice event)
{
    static const char *const names[] = {"connect",       "connect_error", "disconnect",
                                        "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_is(event, names[i]))
            return true;
    }
    return false;
}

/* r->at is at the opening quote of the name in a checked array. Cuts the array in two, in place:
 *
 *   [ " e c h o " , 1 ]   becomes   [ " e c h o \0 [ 1 ]
 */
static int split_event(reader *r, sio_packet *out)
{
    char *name = r->at + 1;
    char *quote = name;
    while (*quote != '"')
        quote += *quote == '\\' ? 2 : 1;
    char *next = quote + 1;
    while (json_is_space(*next))
        next++;
    if (*next == ',') {
        *next = '[';
        out->args_text = slice_of(next, (size_t)(r->end - next));
    } else {
        out->args_text = SLICE_LITERAL("[]");
    }
    size_t len = (size_t)(quote - name);
    if (memchr(name, '\\', len)) {
        len = json_unescape(name, len, name);
        /* Names become C strings, where "connect\u0000x" would read "connect". */
        if (memchr(name, '\0', len))
            return refuse(out, "NUL in an event's name");
    }
    name[len] = '\0';
    out->event = slice_of(name, len);
    if (sio_event_is_reserved(out->event))
        return refuse(out, "reserved event name");
    return SIO_PACKET_READY;
}

static int read_event(reader *r, const json_limits *limits, sio_packet *out)
{
    if (r->at == r->end)
        return refuse(out, "event without data");
    if (*r->at != '[')
        return refuse(out, "event is no array");
    TRY(check_json(r, limits, out));
    do
        r->at++;
    while (json_is_space(*r->at));
    /* The reference implementation lets numbers pass as names, though nothing can listen. */
    if (*r->at == '-' || json_is_digit(*r->at))
        return SIO_PACKET_IGNORED;
    if (*r->at != '"')
        return refuse(out, "event without a name");
    return split_event(r, out);
}

static int read_ack(reader *r, const json_limits *limits, sio_packet *out)
{
    if (r->at == r->end)
        return is_binary(out->type) ? refuse(out, "binary packet without data")
                                    : SIO_PACKET_IGNORED;
    if (*r->at != '[')
        return refuse(out, "ack is no array");
    TRY(check_json(r, limits, out));
    out->args_text = slice_of(r->at, (size_t)(r->end - r->at));
    return out->has_id ? SIO_PACKET_READY : SIO_PACKET_IGNORED;
}

static int read_connect(reader *r, const json_limits *limits, sio_packet *out)
{
    if (out->has_id)
        return refuse(out, "ack id on a connect");
    bool is_error = out->type == SIO_CONNECT_ERROR;
    if (r->at == r->end)
        return is_error ? refuse(out, "connect error without data") : SIO_PACKET_READY;
    if (*r->at != '{' && !(is_error && *r->at == '"'))
        return refuse(out, "connect with data that is no object");
    TRY(check_json(r, limits, out));
    out->data_text = slice_of(r->at, (size_t)(r->end - r->at));
    return SIO_PACKET_READY;
}

int sio_packet_decode(char *text, size_t len, const sio_packet_limits *limits, sio_packet *out)
{
    const sio_packet_limits defaults = SIO_PACKET_LIMITS_DEFAULT;
    if (!limits)
        limits = &defaults;
    if (len == 0)
        return refuse(out, "empty packet");
    reader r = {text, text + len};
    *out = (sio_packet){0};
    TRY(read_type(&r, out));
    TRY(read_attachment_count(&r, limits->attachment_count_max, out));
    TRY(read_namespace(&r, limits->namespace_len_max, out));
    TRY(read_id(&r, out));
    switch (out->type) {
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        return read_event(&r, &limits->json, out);
    case SIO_ACK:
    case SIO_BINARY_ACK:
        return read_ack(&r, &limits->json, out);
    case SIO_DISCONNECT:
        if (out->has_id || r.at < r.end)
            return refuse(out, "disconnect with data");
        return SIO_PACKET_READY;
    default:
        return read_connect(&r, &limits->json, out);
    }
}

/* <type>[<namespace>,] */
static int put_head(buf *dst, sio_packet_type type, slice ns)
{
    TRY(buf_append_char(dst, (char)('0' + type)));
    if (ns.len == 0 || slice_is(ns, "/"))
        return 0;
    TRY(buf_append(dst, ns.data, ns.len));
    return buf_append_char(dst, ',');
}

/* Takes an incomplete packet off again. */
static int undo_on_error(int rc, buf *dst, size_t readable)
{
    if (rc < 0)
        dst->len = dst->pos + readable;
    return rc < 0 ? rc : 0;
}

static slice uint_digits(uint64_t value, char digits[UINT64_DIGITS_MAX])
{
    char *at = digits + UINT64_DIGITS_MAX;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return slice_of(at, (size_t)(digits + UINT64_DIGITS_MAX - at));
}

/* Turns the packet behind the first `start` readable bytes into the binary one: its type is
 * replaced, and the count inserted. Only now is it known how many attachments there are. */
static int make_binary(buf *dst, size_t start, sio_packet_type type, size_t count)
{
    char digits[UINT64_DIGITS_MAX];
    slice number = uint_digits(count, digits);
    size_t inserted = number.len + 1;
    TRY(buf_reserve(dst, inserted));
    char *packet = (char *)buf_head(dst) + start;
    size_t packet_len = buf_readable(dst) - start;
    memmove(packet + 1 + inserted, packet + 1, packet_len - 1);
    packet[0] = (char)('0' + type);
    memcpy(packet + 1, number.data, number.len);
    packet[1 + number.len] = '-';
    dst->len += inserted;
    return 0;
}

/* An EVENT when there is an `event`, else an ACK. */
static int put_args_packet(buf *dst, slice ns, slice id, const char *event, const json_t *payload,
                           sio_attachment_list *attachments)
{
    size_t start = buf_readable(dst);
    TRY(put_head(dst, event ? SIO_EVENT : SIO_ACK, ns));
    TRY(buf_append(dst, id.data, id.len));
    TRY(sio_json_encode_args(dst, event, payload, attachments));
    if (!attachments || attachments->count == 0)
        return 0;
    return make_binary(dst, start, event ? SIO_BINARY_EVENT : SIO_BINARY_ACK, attachments->count);
}

static int encode_args_packet(buf *dst, slice ns, slice id, const char *event,
                              const json_t *payload, sio_attachment_list *attachments)
{
    assert(!attachments || attachments->count == 0);
    size_t readable = buf_readable(dst);
    int rc = put_args_packet(dst, ns, id, event, payload, attachments);
    if (rc < 0 && attachments)
        attachments->count = 0;
    return undo_on_error(rc, dst, readable);
}

static int put_raw_packet(buf *dst, slice ns, slice id, const char *event, slice args_text)
{
    TRY(put_head(dst, event ? SIO_EVENT : SIO_ACK, ns));
    TRY(buf_append(dst, id.data, id.len));
    if (!event)
        return buf_append(dst, args_text.data, args_text.len);
    TRY(buf_append_char(dst, '['));
    TRY(sio_json_encode_text(dst, slice_str(event)));
    const char *end = args_text.data + args_text.len;
    const char *first = json_skip_space(args_text.data + 1, end);
    if (*first != ']')
        TRY(buf_append_char(dst, ','));
    return buf_append(dst, first, (size_t)(end - first));
}

static int encode_raw_packet(buf *dst, slice ns, slice id, const char *event, slice args_text)
{
    if (args_text.len < 2 || args_text.data[0] != '[' || args_text.data[args_text.len - 1] != ']')
        return CARAFE_ERR_BAD_DATA;
    size_t readable = buf_readable(dst);
    return undo_on_error(put_raw_packet(dst, ns, id, event, args_text), dst, readable);
}

int sio_packet_encode_event(buf *dst, slice ns, const uint64_t *ack_id, const char *event,
                            const json_t *payload, sio_attachment_list *attachments)
{
    assert(event);
    char digits[UINT64_DIGITS_MAX];
    slice id = ack_id ? uint_digits(*ack_id, digits) : (slice){NULL, 0};
    return encode_args_packet(dst, ns, id, event, payload, attachments);
}

int sio_packet_encode_event_raw(buf *dst, slice ns, const uint64_t *ack_id, const char *event,
                                slice args_text)
{
    assert(event);
    char digits[UINT64_DIGITS_MAX];
    slice id = ack_id ? uint_digits(*ack_id, digits) : (slice){NULL, 0};
    return encode_raw_packet(dst, ns, id, event, args_text);
}

int sio_packet_encode_ack(buf *dst, slice ns, slice id_digits, const json_t *payload,
                          sio_attachment_list *attachments)
{
    assert(id_digits.len > 0);
    return encode_args_packet(dst, ns, id_digits, NULL, payload, attachments);
}

int sio_packet_encode_ack_raw(buf *dst, slice ns, slice id_digits, slice args_text)
{
    assert(id_digits.len > 0);
    return encode_raw_packet(dst, ns, id_digits, NULL, args_text);
}

static int put_connect(buf *dst, slice ns, const char *sid)
{
    TRY(put_head(dst, SIO_CONNECT, ns));
    if (!sid)
        return 0;
    TRY(buf_append_str(dst, "{\"sid\":"));
    TRY(sio_json_encode_text(dst, slice_str(sid)));
    return buf_append_char(dst, '}');
}

int sio_packet_encode_connect(buf *dst, slice ns, const char *sid)
{
    size_t readable = buf_readable(dst);
    return undo_on_error(put_connect(dst, ns, sid), dst, readable);
}

int sio_packet_encode_connect_auth(buf *dst, slice ns, const json_t *auth)
{
    size_t readable = buf_readable(dst);
    int rc = put_head(dst, SIO_CONNECT, ns);
    if (rc == 0 && auth)
        rc = sio_json_encode(dst, auth, NULL);
    return undo_on_error(rc, dst, readable);
}

static int put_connect_error(buf *dst, slice ns, const char *message, const json_t *data)
{
    TRY(put_head(dst, SIO_CONNECT_ERROR, ns));
    TRY(buf_append_str(dst, "{\"message\":"));
    TRY(sio_json_encode_text(dst, slice_str(message)));
    if (data) {
        const json_t *items = payload_tuple_items(data);
        TRY(buf_append_str(dst, ",\"data\":"));
        TRY(sio_json_encode(dst, items ? items : data, NULL));
    }
    return buf_append_char(dst, '}');
}

int sio_packet_encode_connect_error(buf *dst, slice ns, const char *message, const json_t *data)
{
    size_t readable = buf_readable(dst);
    return undo_on_error(put_connect_error(dst, ns, message, data), dst, readable);
}

int sio_packet_encode_disconnect(buf *dst, slice ns)
{
    size_t readable = buf_readable(dst);
    return undo_on_error(put_head(dst, SIO_DISCONNECT, ns), dst, readable);
}
