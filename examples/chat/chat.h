/* The events of the chat. See README.md for the list. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include <carafe.h>

/* Registers all handlers, and starts the background task. 0, or a negative error. */
int chat_init(sio_server *sio);

/* Frees what the handlers shared, when the server has stopped. */
void chat_free(void);

#endif /* CHAT_CHAT_H */
