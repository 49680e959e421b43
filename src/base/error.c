#include "base/error.h"

const char *carafe_strerror(int code)
{
    switch (code) {
    case CARAFE_OK:
        return "no error";
#define ERROR_CASE(name, value, text)                                                            \
    case value:                                                                                  \
        return text;
        CARAFE_ERROR_TABLE(ERROR_CASE)
#undef ERROR_CASE
    default:
        return "unknown error";
    }
}

const char *carafe_error_name(int code)
{
    switch (code) {
    case CARAFE_OK:
        return "OK";
#define ERROR_CASE(name, value, text)                                                            \
    case value:                                                                                  \
        return #name;
        CARAFE_ERROR_TABLE(ERROR_CASE)
#undef ERROR_CASE
    default:
        return "UNKNOWN";
    }
}
