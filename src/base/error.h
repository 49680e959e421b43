/* Errors inside the library: the public codes, and the one control-flow macro. */
#ifndef CARAFE_BASE_ERROR_H
#define CARAFE_BASE_ERROR_H

#include "carafe/error.h"

#define MUST_USE __attribute__((warn_unused_result))

/* Returns a negative result of `call` to the caller. Only in functions that own nothing. */
#define TRY(call)                                                                                \
    do {                                                                                         \
        int try_result_ = (call);                                                                \
        if (try_result_ < 0)                                                                     \
            return try_result_;                                                                  \
    } while (0)

#endif /* CARAFE_BASE_ERROR_H */
