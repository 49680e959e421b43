/* The decoder's states, and who moves it:
 *
 *         .-- take_head: the head is complete --.
 *         |                                     v
 *       HEAD                                 PAYLOAD
 *         ^                                     |
 *         '-- take_data, take_control: ---------+-- deliver_control: a close frame --> CLOSED
 *             the payload is complete           '-- fail (also from HEAD) ----------> CLOSED
 */
#include "ws/frame.h"

#include <string.h>

#include "base/mem.h"

enum { STATE_HEAD = 0, STATE_PAYLOAD = 1, STATE_CLOSED = 2 };

enum {
    RSV2_RSV3 = 0x30,
    OPCODE_MASK = 0x0f,
    OPCODE_CONTROL = 0x08, /* RFC 6455 5.5: the opcode's top bit tells control frames */
    MASKED = 0x80,
    LENGTH_MASK = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

#define HIGH_BITS 0x8080808080808080ULL

/* The first reservation for a message that does not come whole: a TCP segment is seldom smaller. */
enum { MESSAGE_CAP_MIN = 256 };

_Static_assert(sizeof(ws_decoder) <= 64, "every idle connection holds one");

size_t ws_frame_head_encode(uint8_t dst[WS_HEAD_SIZE_MAX], ws_opcode opcode, unsigned flags,
                            uint64_t payload_len)
{
    dst[0] = (uint8_t)(flags | opcode);
    /* RFC 6455 5.2: the minimal number of bytes MUST be used to encode the length. */
    if (payload_len < LENGTH_16) {
        dst[1] = (uint8_t)payload_len;
        return 2;
    }
    size_t width = payload_len <= UINT16_MAX ? 2 : 8;
    dst[1] = width == 2 ? LENGTH_16 : LENGTH_64;
    for (size_t i = 0; i < width; i++)
        dst[2 + i] = (uint8_t)(payload_len >> (8 * (width - 1 - i)));
    return 2 + width;
}

ptrdiff_t ws_close_payload_encode(uint8_t dst[WS_CONTROL_PAYLOAD_MAX], unsigned code, slice reason)
{
    if (code == 0 && reason.len == 0)
        return 0;
    if (!ws_close_code_is_legal(code))
        return CARAFE_ERR_ARGUMENT;
    if (reason.len > WS_CLOSE_REASON_MAX)
        return CARAFE_ERR_TOO_LARGE;
    if (!utf8_is_valid(reason.data, reason.len))
        return CARAFE_ERR_BAD_UTF8;
    dst[0] = (uint8_t)(code >> 8);
    dst[1] = (uint8_t)code;
    if (reason.len)
        memcpy(dst + 2, reason.data, reason.len);
    return (ptrdiff_t)(2 + reason.len);
}

bool ws_close_code_is_legal(unsigned code)
{
    /* RFC 6455 7.4: 1004 is reserved, 1005, 1006 and 1015 MUST NOT be on the wire, 1016-2999 are
     * not assigned, 3000-4999 are for libraries and applications. 1012-1014 came with IANA's
     * registry. */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

uint64_t ws_mask(uint8_t *data, size_t len, const uint8_t mask[4])
{
    uint64_t wide, word[4], seen = 0;
    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    for (; len >= 32; data += 32, len -= 32) {
        memcpy(word, data, 32);
        for (int i = 0; i < 4; i++)
            seen |= word[i] ^= wide;
        memcpy(data, word, 32);
    }
    for (; len >= 8; data += 8, len -= 8) {
        memcpy(word, data, 8);
        seen |= word[0] ^= wide;
        memcpy(data, word, 8);
    }
    if (len >= 4) {
        uint32_t half;
        memcpy(&half, data, 4);
        seen |= half ^= (uint32_t)wide;
        memcpy(data, &half, 4);
        data += 4, len -= 4;
    }
    for (size_t i = 0; i < len; i++)
        seen |= data[i] ^= mask[i];
    return seen;
}

void ws_decoder_deinit(ws_decoder *d)
{
    mem_free(d->message);
    *d = (ws_decoder){ 0 };
}

bool ws_decoder_is_idle(const ws_decoder *d)
{
    return d->state == STATE_HEAD && d->head_len == 0 && d->message_head == 0;
}

static uint16_t close_code_of(int code)
{
    switch (code) {
    case CARAFE_ERR_BAD_UTF8:
        return WS_CLOSE_BAD_DATA;
    case CARAFE_ERR_TOO_LARGE:
        return WS_CLOSE_TOO_LARGE;
    case CARAFE_ERR_TOO_MANY:
        return WS_CLOSE_POLICY;
    case CARAFE_ERR_NOMEM:
        return WS_CLOSE_INTERNAL_ERROR;
    default:
        return WS_CLOSE_PROTOCOL_ERROR;
    }
}

/* RFC 6455 7.1.7: nothing the peer sends is processed after the connection failed. */
static int fail(ws_decoder *d, ws_event *event, int code, const char *error)
{
    ws_decoder_deinit(d);
    d->state = STATE_CLOSED;
    *event =
        (ws_event){ .type = WS_EVENT_ERROR, .close_code = close_code_of(code), .error = error };
    return code;
}

/* What is wrong with the first two bytes of a head, NULL when nothing is. */
static const char *find_head_error(const ws_decoder *d, const ws_limits *limits,
                                   const uint8_t head[2])
{
    unsigned opcode = head[0] & OPCODE_MASK;
    /* RFC 6455 5.2: RSV bits MUST be 0 unless an extension gives them a meaning; RFC 7692 6: RSV1
     * is on the first frame of a message only, never on control frames. */
    if (head[0] & RSV2_RSV3)
        return "RSV2 or RSV3 is set";
    if ((head[0] & WS_RSV1) && !(limits->allow_rsv1 && (opcode == WS_TEXT || opcode == WS_BINARY)))
        return "RSV1 is set";
    /* RFC 6455 5.1: a server MUST close the connection upon a frame that is not masked. */
    if (!(head[1] & MASKED))
        return "frame is not masked";
    if (opcode & OPCODE_CONTROL) {
        if (opcode > WS_PONG)
            return "reserved control opcode";
        /* RFC 6455 5.5: control frames carry at most 125 bytes and MUST NOT be fragmented. */
        if (!(head[0] & WS_FIN))
            return "control frame is fragmented";
        if ((head[1] & LENGTH_MASK) > WS_CONTROL_PAYLOAD_MAX)
            return "control frame is too long";
        return NULL;
    }
    if (opcode > WS_BINARY)
        return "reserved opcode";
    /* RFC 6455 5.4: a message is one frame with an opcode, then continuations up to FIN; the frames
     * of two messages MUST NOT be interleaved. */
    if (opcode == WS_CONTINUATION && !d->message_head)
        return "continuation without a message";
    if (opcode != WS_CONTINUATION && d->message_head)
        return "new message inside a fragmented one";
    return NULL;
}

/* Bytes of a client's head, as its second byte tells. */
static size_t head_size(uint8_t byte1)
{
    switch (byte1 & LENGTH_MASK) {
    case LENGTH_16:
        return 8;
    case LENGTH_64:
        return 14;
    default:
        return 6;
    }
}

/* The payload's length in a whole head, or UINT64_MAX for one that is not encoded as it must be. */
static uint64_t decode_length(const uint8_t *head)
{
    uint64_t len = head[1] & LENGTH_MASK;
    if (len < LENGTH_16)
        return len;
    size_t width = len == LENGTH_16 ? 2 : 8;
    uint64_t len_min = len == LENGTH_16 ? LENGTH_16 : UINT16_MAX + 1;
    len = 0;
    for (size_t i = 0; i < width; i++)
        len = len << 8 | head[2 + i];
    /* RFC 6455 5.2: the most significant bit MUST be 0; the shortest form MUST be used. */
    return len < len_min || len > INT64_MAX ? UINT64_MAX : len;
}

/* Takes a whole head of `size` bytes, the first two of which were checked. */
static int begin_frame(ws_decoder *d, const ws_limits *limits, const uint8_t *head, size_t size,
                       ws_event *event)
{
    uint64_t len = decode_length(head);
    if (len == UINT64_MAX)
        return fail(d, event, CARAFE_ERR_BAD_FRAME, "malformed payload length");
    memcpy(d->mask, head + size - 4, 4);
    d->frame = head[0];
    d->payload_left = len;
    d->head_len = 0;
    d->control_len = 0;
    d->state = STATE_PAYLOAD;
    if (head[0] & OPCODE_CONTROL)
        return 1;
    if ((head[0] & OPCODE_MASK) != WS_CONTINUATION) {
        d->message_head = head[0];
        d->fragment_count = 0;
    }
    if (++d->fragment_count > WS_FRAGMENT_COUNT_MAX)
        return fail(d, event, CARAFE_ERR_TOO_MANY, "message has too many fragments");
    /* Refused before its bytes come: they need not be read to know. */
    if (len > limits->message_size_max || d->message_len > limits->message_size_max - len)
        return fail(d, event, CARAFE_ERR_TOO_LARGE, "message is too large");
    return 1;
}

static void consume(uint8_t **data, size_t *len, size_t n)
{
    *data += n;
    *len -= n;
}

/* Collects a head that comes in pieces. The first two bytes are judged as soon as they are there: a
 * frame without a mask has no more. Returns 1 when the head is whole, 0 when more must come. */
static int gather_head(ws_decoder *d, const ws_limits *limits, uint8_t **data, size_t *len,
                       ws_event *event)
{
    size_t size = d->head_len < 2 ? 2 : head_size(d->head[1]);
    while (*len && d->head_len < size) {
        d->head[d->head_len++] = **data;
        consume(data, len, 1);
        if (d->head_len != 2)
            continue;
        const char *error = find_head_error(d, limits, d->head);
        if (error)
            return fail(d, event, CARAFE_ERR_BAD_FRAME, error);
        size = head_size(d->head[1]);
    }
    return d->head_len == size;
}

/* Returns 1 when a frame begins, 0 when more bytes of its head must come. */
static int take_head(ws_decoder *d, const ws_limits *limits, uint8_t **data, size_t *len,
                     ws_event *event)
{
    const uint8_t *head = *data;
    size_t size = *len >= 2 ? head_size(head[1]) : SIZE_MAX;
    if (d->head_len || *len < size) {
        int is_whole = gather_head(d, limits, data, len, event);
        return is_whole == 1 ? begin_frame(d, limits, d->head, d->head_len, event) : is_whole;
    }
    const char *error = find_head_error(d, limits, head);
    if (error)
        return fail(d, event, CARAFE_ERR_BAD_FRAME, error);
    consume(data, len, size);
    return begin_frame(d, limits, head, size, event);
}

/* Copies bytes to message[at], where all before is in use. The room doubles, but never beyond
 * `size_max`, and follows what was received, not what was announced: a length costs nothing. NULL
 * when there is no memory. */
static uint8_t *append(ws_decoder *d, size_t at, const uint8_t *data, size_t len, size_t size_max)
{
    if (at + len > d->message_cap) {
        size_t cap = d->message_cap ? d->message_cap * 2 : MESSAGE_CAP_MIN;
        if (cap > size_max)
            cap = size_max;
        if (cap < at + len)
            cap = at + len;
        uint8_t *message = mem_realloc(d->message, cap);
        if (!message)
            return NULL;
        d->message = message;
        d->message_cap = cap;
    }
    return memcpy(d->message + at, data, len);
}

static void turn_mask(ws_decoder *d, size_t n)
{
    uint8_t old[4];
    memcpy(old, d->mask, 4);
    for (size_t i = 0; i < 4; i++)
        d->mask[i] = old[(i + n) & 3];
}

static int deliver_control(ws_decoder *d, uint8_t *payload, size_t len, ws_event *event)
{
    *event = (ws_event){ .type = WS_EVENT_PING, .data = payload, .len = len };
    if ((d->frame & OPCODE_MASK) == WS_PONG)
        event->type = WS_EVENT_PONG;
    if ((d->frame & OPCODE_MASK) != WS_CLOSE)
        return 1;

    /* RFC 6455 5.5.1: the payload, if any, starts with a two-byte code; the rest is UTF-8. */
    if (len == 1)
        return fail(d, event, CARAFE_ERR_BAD_FRAME, "close frame with half a code");
    unsigned code = len ? (unsigned)payload[0] << 8 | payload[1] : WS_CLOSE_NO_STATUS;
    if (len && !ws_close_code_is_legal(code))
        return fail(d, event, CARAFE_ERR_BAD_FRAME, "illegal close code");
    if (len && !utf8_is_valid(payload + 2, len - 2))
        return fail(d, event, CARAFE_ERR_BAD_UTF8, "close reason is not UTF-8");
    event->type = WS_EVENT_CLOSE;
    event->close_code = (uint16_t)code;
    event->data = len ? payload + 2 : payload;
    event->len = len ? len - 2 : 0;
    d->state = STATE_CLOSED;
    d->message_head = 0;
    return 1;
}

static int take_control(ws_decoder *d, uint8_t **data, size_t *len, ws_event *event)
{
    size_t n = d->payload_left < *len ? (size_t)d->payload_left : *len;
    uint8_t *payload = *data;
    if (d->control_len || n < d->payload_left) {
        size_t at = d->message_len + d->control_len;
        payload = append(d, at, *data, n, at + (size_t)d->payload_left);
        if (!payload)
            return fail(d, event, CARAFE_ERR_NOMEM, "out of memory");
    }
    ws_mask(payload, n, d->mask);
    consume(data, len, n);
    d->payload_left -= n;
    if (d->payload_left) {
        turn_mask(d, n);
        d->control_len = (uint8_t)(d->control_len + n);
        return 0;
    }
    d->state = STATE_HEAD;
    d->is_delivered = d->message != NULL;
    return deliver_control(d, payload - d->control_len, d->control_len + n, event);
}

/* Checks the next bytes of a text; `seen` is the OR of them. */
static bool check_text(ws_decoder *d, const uint8_t *payload, size_t len, uint64_t seen)
{
    /* The text of a compressed message is known to nobody yet. */
    if ((d->message_head & (WS_RSV1 | OPCODE_MASK)) != WS_TEXT)
        return true;
    if (!(seen & HIGH_BITS) && utf8_is_complete(&d->utf8))
        return true;
    return utf8_feed(&d->utf8, payload, len);
}

static int deliver_message(ws_decoder *d, uint8_t *message, size_t len, ws_event *event)
{
    /* RFC 6455 8.1. What is not checked leaves the state complete, so that of one message is right
     * for the start of the next. */
    if (!utf8_is_complete(&d->utf8))
        return fail(d, event, CARAFE_ERR_BAD_UTF8, "text ends inside a character");
    *event = (ws_event){
        .type = WS_EVENT_MESSAGE,
        .opcode = (ws_opcode)(d->message_head & OPCODE_MASK),
        .is_compressed = (d->message_head & WS_RSV1) != 0,
        .data = message,
        .len = len,
    };
    d->is_delivered = d->message != NULL;
    d->message_head = 0;
    return 1;
}

static int take_data(ws_decoder *d, const ws_limits *limits, uint8_t **data, size_t *len,
                     ws_event *event)
{
    bool is_last = (d->frame & WS_FIN) != 0;
    size_t n = d->payload_left < *len ? (size_t)d->payload_left : *len;
    bool is_whole = is_last && d->message_len == 0 && n == d->payload_left;
    uint8_t *payload = *data;
    if (!is_whole && n) {
        /* With the last frame the size is known: there is no need to double beyond it. */
        size_t size_max =
            is_last ? d->message_len + (size_t)d->payload_left : limits->message_size_max;
        payload = append(d, d->message_len, *data, n, size_max);
        if (!payload)
            return fail(d, event, CARAFE_ERR_NOMEM, "out of memory");
    }
    uint64_t seen = ws_mask(payload, n, d->mask);
    if (!check_text(d, payload, n, seen))
        return fail(d, event, CARAFE_ERR_BAD_UTF8, "text is not UTF-8");
    consume(data, len, n);
    d->payload_left -= n;
    if (is_whole) {
        d->state = STATE_HEAD;
        return deliver_message(d, payload, n, event);
    }
    d->message_len += n;
    if (d->payload_left) {
        turn_mask(d, n);
        return 0;
    }
    d->state = STATE_HEAD;
    return is_last ? deliver_message(d, d->message, d->message_len, event) : 0;
}

/* The delivered data goes. An open message stays: then what was delivered was a control frame. */
static void release(ws_decoder *d)
{
    d->is_delivered = false;
    if (d->message_head)
        return;
    mem_free(d->message);
    d->message = NULL;
    d->message_len = d->message_cap = 0;
}

int ws_decoder_next(ws_decoder *d, const ws_limits *limits, uint8_t **data, size_t *len,
                    ws_event *event)
{
    if (d->is_delivered)
        release(d);
    while (*len && d->state != STATE_CLOSED) {
        if (d->state == STATE_HEAD) {
            int has_begun = take_head(d, limits, data, len, event);
            if (has_begun != 1)
                return has_begun;
            if (*len == 0 && d->payload_left)
                return 0;
        }
        int result = (d->frame & OPCODE_CONTROL) ? take_control(d, data, len, event)
                                                 : take_data(d, limits, data, len, event);
        if (result)
            return result;
    }
    if (*len)
        consume(data, len, *len);
    return 0;
}
