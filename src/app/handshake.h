/* Walking the copy of a handshake's head. */
#ifndef CARAFE_APP_HANDSHAKE_H
#define CARAFE_APP_HANDSHAKE_H

#include "app/app.h"

/* A copy with all headers, also those no session needs: what teardown hooks see of a request whose
 * answer has taken the original with it. NULL: no memory. */
app_handshake *app_handshake_new_whole(const http_request *req);

slice app_handshake_path(const app_handshake *handshake);

/* The next header of that name, case ignored: start with *at = 0; false at the end. */
bool app_handshake_next(const app_handshake *handshake, const char *name, size_t *at, slice *value);

/* Bytes of the copy, for tests and statistics. */
size_t app_handshake_size(const app_handshake *handshake);

#endif /* CARAFE_APP_HANDSHAKE_H */
