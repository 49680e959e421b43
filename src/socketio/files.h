/* The browser's client, served below the server's path. */
#ifndef CARAFE_SOCKETIO_FILES_H
#define CARAFE_SOCKETIO_FILES_H

#include "app/app.h"
#include "socketio/options.h"

/* Answers a request for what follows the server's path; 404 for anything but the client's files. */
void sio_files_serve(carafe_app *app, const sio_config *config, http_request *req, slice rest);

#endif /* CARAFE_SOCKETIO_FILES_H */
