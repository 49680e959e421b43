/* Opening a file below a folder, and never one outside of it.
 *
 * Thread: any. */
#ifndef CARAFE_APP_FOLDER_H
#define CARAFE_APP_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

/* Opens for reading what `name` (relative, see http_path_safe) is in the folder at `dir`: links are
 * followed as long as they stay below the folder. Never waits, not for a FIFO either.
 *
 * Returns a descriptor, or CARAFE_ERR_FILE: there is no such file, it lies outside, or it may not
 * be read. */
int folder_open(const char *dir, const char *name) MUST_USE;

/* The same on kernels without openat2(2) (before 5.6): links are not followed at all. */
int folder_open_by_steps(const char *dir, const char *name) MUST_USE;

#endif /* CARAFE_APP_FOLDER_H */
