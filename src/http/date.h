/* HTTP dates: "Sun, 06 Nov 1994 08:49:37 GMT".
 *
 * Pure: the time is passed in; any thread. Spec: RFC 9110 5.6.7. */
#ifndef CARAFE_HTTP_DATE_H
#define CARAFE_HTTP_DATE_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum { HTTP_DATE_LEN = 29 }; /* characters of an IMF-fixdate */

/* Writes the IMF-fixdate of a Unix time, with a NUL. Times outside the years 1 to 9999 become the
 * nearest one inside. */
void http_date_format(int64_t unix_s, char dst[HTTP_DATE_LEN + 1]);

/* Reads a date in one of the three forms of RFC 9110 (IMF-fixdate, RFC 850, asctime). `now_s`
 * tells the century of the two-digit years of RFC 850. The name of the day need not be right.
 *
 * Returns 0, or CARAFE_ERR_BAD_REQUEST: none of the forms, or no such day or time. */
int http_date_parse(slice text, int64_t now_s, int64_t *unix_s) MUST_USE;

#endif /* CARAFE_HTTP_DATE_H */
