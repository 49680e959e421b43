#include "socketio/decoder.h"

#include <string.h>

#include "base/mem.h"
#include "socketio/payload.h"

/* A binary packet: its text, and the attachments that have come. Allocated with the attachments'
 * places and, behind those, the copied text. */
typedef struct sio_partial {
    sio_packet packet; /* its slices point into the copied text */
    int decoded;       /* what to report when it is complete: READY or IGNORED */
    bool is_waiting;   /* false once complete: the text is kept for who borrows it */
    size_t item_bytes; /* all attachments together */
    size_t item_count;
    json_t *items[]; /* binary values; packet.attachment_count places */
} sio_partial;

static int refuse(sio_packet *out, const char *reason)
{
    *out = (sio_packet){.error = reason};
    return CARAFE_ERR_BAD_PACKET;
}

static void drop_items(sio_partial *partial)
{
    while (partial->item_count > 0)
        json_decref(partial->items[--partial->item_count]);
}

void sio_decoder_deinit(sio_decoder *decoder)
{
    if (!decoder->partial)
        return;
    drop_items(decoder->partial);
    mem_free(decoder->partial);
    decoder->partial = NULL;
}

bool sio_decoder_is_waiting(const sio_decoder *decoder)
{
    return decoder->partial && decoder->partial->is_waiting;
}

void sio_decoder_release(sio_decoder *decoder)
{
    if (!sio_decoder_is_waiting(decoder))
        sio_decoder_deinit(decoder);
}

/* Copies a slice, with a NUL, to `dst` and lets it point there; returns the end. */
static char *move_slice(slice *part, char *dst)
{
    if (part->len)
        memcpy(dst, part->data, part->len);
    dst[part->len] = '\0';
    part->data = dst;
    return dst + part->len + 1;
}

static sio_partial *partial_new(const sio_packet *packet, int decoded)
{
    enum { NUL_COUNT = 4 };
    size_t text_len = packet->ns.len + packet->id_digits.len + packet->event.len +
                      packet->args_text.len + NUL_COUNT;
    size_t items_size = packet->attachment_count * sizeof(json_t *);
    sio_partial *partial = mem_zalloc(sizeof(*partial) + items_size + text_len);
    if (!partial)
        return NULL;
    partial->packet = *packet;
    partial->decoded = decoded;
    partial->is_waiting = true;
    char *at = (char *)partial->items + items_size;
    at = move_slice(&partial->packet.ns, at);
    at = move_slice(&partial->packet.id_digits, at);
    at = move_slice(&partial->packet.event, at);
    move_slice(&partial->packet.args_text, at);
    return partial;
}

int sio_decoder_feed_text(sio_decoder *decoder, char *text, size_t len,
                          const sio_packet_limits *limits, sio_packet *out)
{
    bool was_waiting = sio_decoder_is_waiting(decoder);
    sio_decoder_deinit(decoder);
    if (was_waiting)
        return refuse(out, "text where an attachment is missing");
    int rc = sio_packet_decode(text, len, limits, out);
    if (rc < 0 || out->attachment_count == 0)
        return rc;
    decoder->partial = partial_new(out, rc);
    return decoder->partial ? SIO_PACKET_PENDING : CARAFE_ERR_NOMEM;
}

static int add_attachment(sio_partial *partial, const void *data, size_t len, size_t bytes_max)
{
    if (len > bytes_max || partial->item_bytes > bytes_max - len)
        return CARAFE_ERR_TOO_LARGE;
    json_t *item = sio_binary(data, len);
    if (payload_is_invalid(item))
        return CARAFE_ERR_NOMEM;
    partial->items[partial->item_count++] = item;
    partial->item_bytes += len;
    return 0;
}

/* All attachments are there. */
static int finish(sio_partial *partial, sio_packet *out, json_t **args)
{
    partial->is_waiting = false;
    if (partial->decoded == SIO_PACKET_READY) {
        const sio_attachments attachments = {partial->items, partial->item_count};
        const slice text = partial->packet.args_text;
        int rc = sio_json_decode(text.data, text.len, &attachments, args);
        if (rc == CARAFE_ERR_NOMEM)
            return rc;
        if (rc < 0)
            return refuse(out, "placeholder for no attachment");
    }
    *out = partial->packet;
    drop_items(partial);
    return partial->decoded;
}

int sio_decoder_feed_binary(sio_decoder *decoder, const void *data, size_t len,
                            const sio_packet_limits *limits, sio_packet *out, json_t **args)
{
    const sio_packet_limits defaults = SIO_PACKET_LIMITS_DEFAULT;
    if (!limits)
        limits = &defaults;
    sio_partial *partial = decoder->partial;
    if (!sio_decoder_is_waiting(decoder)) {
        sio_decoder_release(decoder);
        return refuse(out, "binary message that no packet announced");
    }
    int rc = add_attachment(partial, data, len, limits->attachment_bytes_max);
    if (rc == 0 && partial->item_count < partial->packet.attachment_count)
        return SIO_PACKET_PENDING;
    if (rc == 0)
        rc = finish(partial, out, args);
    if (rc < 0)
        sio_decoder_deinit(decoder);
    return rc;
}
