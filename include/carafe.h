/* Carafe: web pages and Socket.IO from a C program. Everything in one include. */
#ifndef CARAFE_H
#define CARAFE_H

#include "carafe/app.h"
#include "carafe/engineio.h"
#include "carafe/error.h"
#include "carafe/payload.h"
#include "carafe/socketio.h"

#endif /* CARAFE_H */
