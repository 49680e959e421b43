/* Rules of paths, and which of them a path matches.
 *
 * Pure: no sockets or clock; any thread while nothing is added.
 *
 *   /about            static: found in a table, whatever the number of rules
 *   /user/<name>      one segment, not empty; text may stand around it: /@<name>, /<name>.png
 *   /item/<int:id>    digits
 *   /files/<path:p>   all that is left, slashes too, not empty; only at the end
 *
 * When several rules match, the first segment in which they differ decides: static text is
 * preferred to a variable with text around it, that to <int:>, to <name>, to <path:>. */
#ifndef CARAFE_APP_ROUTER_H
#define CARAFE_APP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "base/slice.h"
#include "carafe/app.h"
#include "http/head.h"

enum {
    ROUTE_ARG_COUNT_MAX = 8, /* variables of a rule */
    ROUTE_SEGMENT_COUNT_MAX = 32,
    ROUTE_RULE_SIZE_MAX = 1024 /* bytes */
};

/* In the order of preference. */
typedef enum route_kind {
    ROUTE_STATIC = 0,
    ROUTE_AFFIXED_INT,
    ROUTE_AFFIXED_STRING,
    ROUTE_INT,
    ROUTE_STRING,
    ROUTE_PATH,
} route_kind;

/* What one segment of a path must look like. Slices point into the rule. */
typedef struct route_segment {
    route_kind kind;
    slice prefix; /* the whole text when STATIC */
    slice suffix;
    slice name; /* of the variable */
} route_segment;

typedef struct route route;
struct route {
    route *next;      /* of all, in the order of registration */
    route *same_path; /* the next static rule of the same path */
    char *rule;       /* as registered */
    char *endpoint;   /* for the log */
    unsigned methods; /* bit 1 << http_method */
    carafe_view *view;
    void *arg;
    bool may_be_empty; /* <path:> matches the empty rest too */
    size_t segment_count;
    route_segment segments[];
};

typedef struct router {
    map statics; /* path -> route */
    route *all;
    route **last;
    route **variables; /* in the order of preference */
    size_t variable_count;
    size_t variable_cap;
} router;

/* What a path matches. Slices point into the path. */
typedef struct route_match {
    const route *route; /* NULL: none with this method */
    unsigned allowed;   /* methods of all rules that match the path; 0: none does */
    slice args[ROUTE_ARG_COUNT_MAX];
} route_match;

void router_init(router *r);
void router_deinit(router *r);

typedef struct route_options {
    const char *rule;
    unsigned methods; /* GET also answers HEAD */
    carafe_view *view;
    void *arg;
    const char *endpoint; /* the rule when NULL */
    bool may_be_empty;
} route_options;

/* CARAFE_ERR_ARGUMENT: a malformed rule, or one that matches the same paths has one of the methods
 * already; `*problem` says which (static). CARAFE_ERR_NOMEM. */
int router_add(router *r, const route_options *options, const char **problem) MUST_USE;

/* Reads "GET, post" into method bits. CARAFE_ERR_ARGUMENT: not a list of known methods. */
int route_methods_parse(const char *text, unsigned *out) MUST_USE;

/* Writes "GET, HEAD, OPTIONS" for an Allow header, with a NUL. OPTIONS is always in it. */
enum { ROUTE_ALLOW_SIZE = 80 };
void route_methods_format(unsigned methods, char dst[ROUTE_ALLOW_SIZE]);

/* Finds the rule for a decoded path. */
void router_match(const router *r, slice path, http_method method, route_match *out);

/* The text a variable of the matched rule stands for; data is NULL when there is none. */
slice route_match_arg(const route_match *match, const char *name);

#endif /* CARAFE_APP_ROUTER_H */
