/* Covers eio_payload_next, eio_packet_decode and, on what they accept, eio_payload_append. The
 * input is a polling body. There is one way only to write a list of packets, so an accepted body
 * must come back byte by byte. */
#include <stdlib.h>
#include <string.h>

#include "engineio/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *body = malloc(size ? size : 1);
    require(body);
    if (size)
        memcpy(body, data, size);

    buf again = {0};
    size_t at = 0;
    do {
        eio_packet packet;
        ptrdiff_t n = eio_payload_next(body + at, size - at, &packet);
        if (n < 0) {
            require(n == CARAFE_ERR_BAD_PACKET);
            break;
        }
        at += (size_t)n;
        require(n > 0 && at <= size);
        require(packet.type <= EIO_NOOP && (!packet.is_binary || packet.type == EIO_MESSAGE));
        require(packet.data >= body && packet.data + packet.data_len <= body + size);
        require(eio_payload_append(&again, &packet) == 0);
    } while (at < size);

    if (at == size && size > 0) {
        require(buf_readable(&again) == size);
        require(memcmp(buf_head(&again), data, size) == 0);
    }
    buf_deinit(&again);
    free(body);
    return 0;
}
