/* A blocking Socket.IO client over a WebSocket on a plain socket, with a time limit on every call.
 * For threads of their own: it never fails the test, its calls return false. */
#ifndef CARAFE_TESTS_SIO_CLIENT_H
#define CARAFE_TESTS_SIO_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIO_CLIENT_TIMEOUT_S = 20, SIO_CLIENT_TEXT_SIZE = 4096 };

typedef struct sio_client {
    int fd;
    uint8_t data[SIO_CLIENT_TEXT_SIZE * 2]; /* received and not yet taken */
    size_t len;
    char text[SIO_CLIENT_TEXT_SIZE]; /* the last message, with a NUL */
    char sid[64];                    /* in the namespace joined last */
} sio_client;

/* Connects to 127.0.0.1, and reads the OPEN packet. */
bool sio_client_open(sio_client *client, int port);
void sio_client_close(sio_client *client);

/* Joins a namespace; what comes before the reply is dropped. */
bool sio_client_join(sio_client *client, const char *ns);

bool sio_client_send(sio_client *client, const char *text);

/* Waits for the next message, up to SIO_CLIENT_TEXT_SIZE - 1 bytes, into client->text. Pings are
 * answered. False: the connection has ended, or nothing came in time. */
bool sio_client_read(sio_client *client);

/* Reads on until a message begins so. */
bool sio_client_read_until(sio_client *client, const char *begin);

#endif /* CARAFE_TESTS_SIO_CLIENT_H */
