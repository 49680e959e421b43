/* Lists in one text: "a, b,c". */
#ifndef CARAFE_BASE_STRLIST_H
#define CARAFE_BASE_STRLIST_H

#include "base/error.h"

/* Splits at commas; blanks around entries and empty entries are dropped, so "" is the empty list.
 * `*out` is a NULL-terminated array to be freed by str_list_free; NULL when `text` is.
 * CARAFE_ERR_NOMEM. */
int str_list_split(const char *text, char ***out) MUST_USE;
void str_list_free(char **items);

#endif /* CARAFE_BASE_STRLIST_H */
