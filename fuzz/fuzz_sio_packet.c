/* Covers sio_packet_decode, sio_decoder_feed_text, sio_decoder_feed_binary and, on what they
 * accept, the raw encoders. The input is a polling body, whose messages go to one decoder. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engineio/packet.h"
#include "socketio/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Written again and read again, a packet must have the same parts. */
static void check_round_trip(const sio_packet *packet)
{
    bool is_event = packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT;
    buf text = {0};
    int rc =
        is_event
            ? sio_packet_encode_event_raw(&text, packet->ns, packet->has_id ? &packet->id : NULL,
                                          packet->event.data, packet->args_text)
            : sio_packet_encode_ack_raw(&text, packet->ns, packet->id_digits, packet->args_text);
    require(rc == 0);
    sio_packet again;
    rc = sio_packet_decode((char *)buf_head(&text), buf_readable(&text), NULL, &again);
    require(rc == SIO_PACKET_READY);
    require(again.type == (is_event ? SIO_EVENT : SIO_ACK));
    require(slice_eq(again.ns, packet->ns) && slice_eq(again.event, packet->event));
    require(again.has_id == packet->has_id && again.id == packet->id);
    json_t *value = NULL;
    json_t *value_again = NULL;
    require(sio_json_decode(packet->args_text.data, packet->args_text.len, NULL, &value) == 0);
    require(sio_json_decode(again.args_text.data, again.args_text.len, NULL, &value_again) == 0);
    require(json_is_array(value) && json_equal(value, value_again));
    json_decref(value);
    json_decref(value_again);
    buf_deinit(&text);
}

static void check_packet(const sio_packet *packet)
{
    require(packet->ns.len > 0 && packet->ns.data[0] == '/');
    switch (packet->type) {
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        require(!sio_event_is_reserved(packet->event));
        require(strlen(packet->event.data) == packet->event.len);
        check_round_trip(packet);
        break;
    case SIO_ACK:
    case SIO_BINARY_ACK:
        require(packet->has_id);
        check_round_trip(packet);
        break;
    default:
        break;
    }
}

/* Returns false at what closes the connection. */
static bool feed(sio_decoder *decoder, const eio_packet *message)
{
    sio_packet packet;
    json_t *args = NULL;
    int rc;
    bool was_waiting = sio_decoder_is_waiting(decoder);
    if (message->is_binary) {
        rc = sio_decoder_feed_binary(decoder, message->data, message->data_len, NULL, &packet,
                                     &args);
    } else {
        if (!utf8_is_valid(message->data, message->data_len))
            return false;
        char *text = malloc(message->data_len ? message->data_len : 1);
        require(text);
        memcpy(text, message->data, message->data_len);
        rc = sio_decoder_feed_text(decoder, text, message->data_len, NULL, &packet);
        if (rc == SIO_PACKET_READY)
            check_packet(&packet);
        free(text);
    }
    require(sio_decoder_is_waiting(decoder) == (rc == SIO_PACKET_PENDING));
    if (rc >= 0 && rc != SIO_PACKET_PENDING)
        require(was_waiting == message->is_binary);
    if (message->is_binary && rc == SIO_PACKET_READY) {
        require(json_is_array(args));
        check_packet(&packet);
    }
    require(rc >= 0 || rc == CARAFE_ERR_BAD_PACKET);
    if (rc < 0)
        require(packet.error);
    json_decref(args);
    return rc >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *body = malloc(size ? size : 1);
    require(body);
    if (size)
        memcpy(body, data, size);
    sio_decoder decoder = {0};
    size_t at = 0;
    do {
        eio_packet message;
        ptrdiff_t n = eio_payload_next(body + at, size - at, &message);
        if (n < 0)
            break;
        at += (size_t)n;
        if (message.type == EIO_MESSAGE && !feed(&decoder, &message))
            break;
    } while (at < size);
    sio_decoder_deinit(&decoder);
    free(body);
    return 0;
}
