/* Options structs of callers who were compiled against another version of the header. */
#ifndef CARAFE_APP_OPTIONS_H
#define CARAFE_APP_OPTIONS_H

#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* Copies the options a caller gave (`src`, whose first member says its size; NULL: none) to `dst`,
 * which has the size of today; what the caller does not know of is zero, the default.
 * CARAFE_ERR_ARGUMENT: the size was not set. */
static inline int options_read(void *dst, size_t dst_size, const void *src)
{
    memset(dst, 0, dst_size);
    if (!src)
        return 0;
    size_t size;
    memcpy(&size, src, sizeof(size));
    if (size < sizeof(size))
        return CARAFE_ERR_ARGUMENT;
    memcpy(dst, src, size < dst_size ? size : dst_size);
    return 0;
}

#endif /* CARAFE_APP_OPTIONS_H */
