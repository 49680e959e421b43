/* A Socket.IO v5 client over Engine.IO v4: handshake, heartbeat, messages.
 *
 *   CONNECTING --transport is up--> OPENING --"0{...}", sends "40"--> JOINING --"40{...}"--> READY
 *        any --client_fail--> FAILED
 *
 * The transport moves packets, this file knows what they mean. websocket.c has one connection;
 * polling.c has two, as browsers do: one for the GETs, one for the POSTs.
 */
#ifndef LOADGEN_CLIENT_H
#define LOADGEN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "loop.h"

struct run;

typedef enum client_state {
    CLIENT_UNOPENED,
    CLIENT_CONNECTING,
    CLIENT_OPENING,
    CLIENT_JOINING,
    CLIENT_READY,
    CLIENT_FAILED,
} client_state;

typedef struct client client;

typedef struct transport {
    int (*open)(client *c, in_addr_t source); /* 0, or -1 with errno */
    void (*send)(client *c, const char *packet, size_t len);
    void (*flush)(client *c);
} transport;

extern const transport websocket_transport;
extern const transport polling_transport;

struct client {
    conn main;    /* the WebSocket, or the GETs */
    conn post;    /* long-polling: the POSTs */
    buf outbox;   /* long-polling: the next POST's body, packets joined by 0x1e */
    char sid[64]; /* long-polling: the Engine.IO session, known from OPENING on */
    bool is_posting;
    client_state state;
    uint32_t index; /* in run.clients */
    in_addr_t source;
    uint64_t opened_ns;
    struct run *run;
    const transport *transport;
};

/* Starts the handshake. Returns 0 or -1 with errno. */
int client_open(client *c, struct run *r, uint32_t index, in_addr_t source);

/* Sends one Engine.IO packet, with its leading digit: at the next flush, which comes by itself at
 * the end of on_message. */
void client_send(client *c, const char *packet, size_t len);
void client_flush(client *c);

/* From the transports: every Engine.IO packet that arrived. */
void client_receive(client *c, const char *packet, size_t len);

/* Ends the client and counts it as not connected or as lost. */
void client_fail(client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees the client without counting anything. */
void client_deinit(client *c);

#endif /* LOADGEN_CLIENT_H */
