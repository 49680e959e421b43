/* Content types by file name. Pure; any thread. */
#ifndef CARAFE_HTTP_MIME_H
#define CARAFE_HTTP_MIME_H

#include <stdbool.h>

#include "base/slice.h"

/* The Content-Type of a file by the extension of its name, case ignored; texts come with
 * "; charset=utf-8", unknown ones are "application/octet-stream". Static, never NULL. */
const char *http_mime_type(slice path);

/* True when a body of that type gets smaller by compression (texts, JSON, SVG, WebAssembly). */
bool http_mime_is_compressible(slice type);

#endif /* CARAFE_HTTP_MIME_H */
