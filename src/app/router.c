#include "app/router.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"

static const struct method_name {
    const char *text;
    http_method method;
} method_names[] = {
    { "GET", HTTP_METHOD_GET },         { "HEAD", HTTP_METHOD_HEAD },
    { "POST", HTTP_METHOD_POST },       { "PUT", HTTP_METHOD_PUT },
    { "PATCH", HTTP_METHOD_PATCH },     { "DELETE", HTTP_METHOD_DELETE },
    { "OPTIONS", HTTP_METHOD_OPTIONS }, { "TRACE", HTTP_METHOD_TRACE },
};
enum { METHOD_COUNT = sizeof(method_names) / sizeof(method_names[0]) };

/* An unknown method has no bit, so no rule answers it. */
static unsigned method_bit(http_method method)
{
    return method == HTTP_METHOD_OTHER ? 0 : 1u << method;
}

/* ---- methods ---- */

static unsigned method_of(slice name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (slice_is_nocase(name, method_names[i].text))
            return method_bit(method_names[i].method);
    return 0;
}

int route_methods_parse(const char *text, unsigned *out)
{
    unsigned methods = 0;
    slice rest = slice_str(text), part;
    while (slice_split(&rest, ',', &part)) {
        unsigned bit = method_of(slice_trim(part));
        if (!bit)
            return CARAFE_ERR_ARGUMENT;
        methods |= bit;
    }
    if (!methods)
        return CARAFE_ERR_ARGUMENT;
    *out = methods;
    return 0;
}

void route_methods_format(unsigned methods, char dst[ROUTE_ALLOW_SIZE])
{
    size_t len = 0;
    methods |= method_bit(HTTP_METHOD_OPTIONS);
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (!(methods & method_bit(method_names[i].method)))
            continue;
        const char *parts[] = { len ? ", " : "", method_names[i].text };
        for (size_t j = 0; j < 2; j++) {
            size_t part_len = strlen(parts[j]);
            assert(len + part_len < ROUTE_ALLOW_SIZE && "holds the names of all methods");
            memcpy(dst + len, parts[j], part_len);
            len += part_len;
        }
    }
    dst[len] = '\0';
}

/* ---- compiling rules ---- */

static bool is_name(slice text)
{
    if (text.len == 0 || isdigit((unsigned char)text.data[0]))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.data[i]) && text.data[i] != '_')
            return false;
    return true;
}

/* Reads what stands between '<' and '>'. NULL, or what is wrong with it. */
static const char *compile_variable(slice text, route_segment *out)
{
    bool is_affixed = out->prefix.len || out->suffix.len;
    const char *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
    slice type = colon ? slice_of(text.data, (size_t)(colon - text.data)) : SLICE_LITERAL("string");
    out->name = colon ? slice_of(colon + 1, text.len - type.len - 1) : text;
    if (!is_name(out->name))
        return "a variable needs a name of letters, digits and '_'";
    if (slice_is(type, "string"))
        out->kind = is_affixed ? ROUTE_AFFIXED_STRING : ROUTE_STRING;
    else if (slice_is(type, "int"))
        out->kind = is_affixed ? ROUTE_AFFIXED_INT : ROUTE_INT;
    else if (slice_is(type, "path") && !is_affixed)
        out->kind = ROUTE_PATH;
    else if (slice_is(type, "path"))
        return "<path:> must stand alone between slashes";
    else
        return "a variable is <name>, <int:name> or <path:name>";
    return NULL;
}

static const char *compile_segment(slice text, route_segment *out)
{
    *out = (route_segment){ .kind = ROUTE_STATIC, .prefix = text };
    const char *open = text.len ? memchr(text.data, '<', text.len) : NULL;
    const char *close = text.len ? memchr(text.data, '>', text.len) : NULL;
    if (!open && !close)
        return NULL;
    if (!open || !close || close < open)
        return "'<' and '>' do not match";
    out->prefix = slice_of(text.data, (size_t)(open - text.data));
    out->suffix = slice_of(close + 1, (size_t)(text.data + text.len - close) - 1);
    if (out->suffix.len && (memchr(out->suffix.data, '<', out->suffix.len) ||
                            memchr(out->suffix.data, '>', out->suffix.len)))
        return "only one variable may stand between two slashes";
    return compile_variable(slice_of(open + 1, (size_t)(close - open) - 1), out);
}

static bool has_name(const route_segment *segments, size_t count, slice name)
{
    for (size_t i = 0; i < count; i++)
        if (segments[i].kind != ROUTE_STATIC && slice_eq(segments[i].name, name))
            return true;
    return false;
}

/* Takes the rule apart. NULL, or what is wrong with it. */
static const char *compile(slice rule, route_segment *segments, size_t *count)
{
    if (rule.len == 0 || rule.data[0] != '/')
        return "a rule begins with a slash";
    for (size_t i = 0; i < rule.len; i++)
        if ((unsigned char)rule.data[i] < 0x20 || strchr("?#\x7f", rule.data[i]))
            return "a rule has no '?', '#' or control characters";
    slice rest = slice_of(rule.data + 1, rule.len - 1), text;
    size_t variable_count = 0;
    *count = 0;
    while (slice_split(&rest, '/', &text)) {
        route_segment *segment = &segments[*count];
        if (*count > 0 && segment[-1].kind == ROUTE_PATH)
            return "<path:> must be the last part";
        if (text.len == 0 && rest.data)
            return "a rule has no empty part between slashes";
        if (*count == ROUTE_SEGMENT_COUNT_MAX)
            return "a rule has too many parts";
        const char *problem = compile_segment(text, segment);
        if (problem)
            return problem;
        if (segment->kind != ROUTE_STATIC && ++variable_count > ROUTE_ARG_COUNT_MAX)
            return "a rule has too many variables";
        if (segment->kind != ROUTE_STATIC && has_name(segments, *count, segment->name))
            return "a rule has two variables of one name";
        ++*count;
    }
    return NULL;
}

static bool is_variable(const route *rt)
{
    for (size_t i = 0; i < rt->segment_count; i++)
        if (rt->segments[i].kind != ROUTE_STATIC)
            return true;
    return false;
}

static int compare_slices(slice a, slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Longer text around a variable is the more special one, so it comes first. */
static int compare_segments(const route_segment *a, const route_segment *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    size_t a_len = a->prefix.len + a->suffix.len, b_len = b->prefix.len + b->suffix.len;
    if (a_len != b_len)
        return a_len > b_len ? -1 : 1;
    int order = compare_slices(a->prefix, b->prefix);
    return order ? order : compare_slices(a->suffix, b->suffix);
}

/* 0 when the rules match the same paths. */
static int compare_routes(const route *a, const route *b)
{
    for (size_t i = 0; i < a->segment_count && i < b->segment_count; i++) {
        int order = compare_segments(&a->segments[i], &b->segments[i]);
        if (order)
            return order;
    }
    if (a->segment_count != b->segment_count)
        return a->segment_count > b->segment_count ? -1 : 1;
    return (int)a->may_be_empty - (int)b->may_be_empty;
}

/* ---- the table ---- */

static slice route_key(const void *value)
{
    return slice_str(((const route *)value)->rule);
}

void router_init(router *r)
{
    *r = (router){ 0 };
    r->last = &r->all;
    map_init(&r->statics, route_key);
}

static void route_free(route *rt)
{
    if (!rt)
        return;
    mem_free(rt->rule);
    mem_free(rt->endpoint);
    mem_free(rt);
}

void router_deinit(router *r)
{
    for (route *rt = r->all; rt;) {
        route *next = rt->next;
        route_free(rt);
        rt = next;
    }
    map_deinit(&r->statics);
    mem_free(r->variables);
    router_init(r);
}

static route *route_new(const route_options *options, const char **problem, int *error)
{
    route_segment segments[ROUTE_SEGMENT_COUNT_MAX];
    size_t count;
    *error = CARAFE_ERR_ARGUMENT;
    if (strlen(options->rule) > ROUTE_RULE_SIZE_MAX) {
        *problem = "a rule is too long";
        return NULL;
    }
    char *rule = mem_strdup(options->rule);
    *problem = rule ? compile(slice_str(rule), segments, &count) : NULL;
    if (!rule || *problem) {
        *error = rule ? *error : CARAFE_ERR_NOMEM;
        mem_free(rule);
        return NULL;
    }
    *error = CARAFE_ERR_NOMEM;
    char *endpoint = mem_strdup(options->endpoint ? options->endpoint : rule);
    route *rt = mem_alloc(sizeof(*rt) + count * sizeof(segments[0]));
    if (!endpoint || !rt) {
        mem_free(rule);
        mem_free(endpoint);
        mem_free(rt);
        return NULL;
    }
    *rt = (route){ .rule = rule,
                   .endpoint = endpoint,
                   .methods = options->methods,
                   .view = options->view,
                   .arg = options->arg,
                   .may_be_empty = options->may_be_empty,
                   .segment_count = count };
    memcpy(rt->segments, segments, count * sizeof(segments[0]));
    return rt;
}

static int add_static(router *r, route *rt)
{
    route *first = map_get(&r->statics, slice_str(rt->rule));
    if (!first)
        return map_put(&r->statics, rt);
    rt->same_path = first->same_path;
    first->same_path = rt;
    return 0;
}

static int add_variable(router *r, route *rt)
{
    if (r->variable_count == r->variable_cap) {
        size_t cap = r->variable_cap ? r->variable_cap * 2 : 8;
        route **grown = mem_realloc(r->variables, cap * sizeof(*grown));
        if (!grown)
            return CARAFE_ERR_NOMEM;
        r->variables = grown;
        r->variable_cap = cap;
    }
    size_t at = r->variable_count;
    while (at > 0 && compare_routes(rt, r->variables[at - 1]) < 0) {
        r->variables[at] = r->variables[at - 1];
        at--;
    }
    r->variables[at] = rt;
    r->variable_count++;
    return 0;
}

static bool is_taken(const router *r, const route *rt)
{
    for (const route *other = r->all; other; other = other->next)
        if ((rt->methods & other->methods) && compare_routes(rt, other) == 0)
            return true;
    return false;
}

int router_add(router *r, const route_options *options, const char **problem)
{
    int error;
    *problem = NULL;
    route *rt = route_new(options, problem, &error);
    if (!rt)
        return error;
    if (is_taken(r, rt)) {
        *problem = "there is such a rule with this method already";
        route_free(rt);
        return CARAFE_ERR_ARGUMENT;
    }
    error = is_variable(rt) ? add_variable(r, rt) : add_static(r, rt);
    if (error < 0) {
        route_free(rt);
        return error;
    }
    *r->last = rt;
    r->last = &rt->next;
    return 0;
}

/* ---- matching ---- */

/* The part of `text` the variable stands for; data is NULL when it does not match. */
static slice match_variable(const route_segment *segment, slice text, bool may_be_empty)
{
    const slice none = { NULL, 0 };
    if (text.len < segment->prefix.len + segment->suffix.len)
        return none;
    slice value = slice_of(text.data + segment->prefix.len,
                           text.len - segment->prefix.len - segment->suffix.len);
    slice end = slice_of(value.data + value.len, segment->suffix.len);
    if (!slice_starts_with(text, segment->prefix) || !slice_eq(end, segment->suffix))
        return none;
    if (value.len == 0 && !may_be_empty)
        return none;
    if (segment->kind == ROUTE_INT || segment->kind == ROUTE_AFFIXED_INT)
        for (size_t i = 0; i < value.len; i++)
            if (value.data[i] < '0' || value.data[i] > '9')
                return none;
    return value;
}

/* `rest` is the path behind its first slash. */
static bool match_route(const route *rt, slice rest, slice *args)
{
    size_t arg_count = 0;
    for (size_t i = 0; i < rt->segment_count; i++) {
        const route_segment *segment = &rt->segments[i];
        slice text = rest;
        if (segment->kind == ROUTE_PATH) {
            rest = (slice){ NULL, 0 };
            if (!text.data)
                return false;
        } else if (!slice_split(&rest, '/', &text)) {
            return false;
        }
        if (segment->kind == ROUTE_STATIC) {
            if (!slice_eq(text, segment->prefix))
                return false;
            continue;
        }
        slice value = match_variable(segment, text, rt->may_be_empty);
        if (!value.data)
            return false;
        args[arg_count++] = value;
    }
    return !rest.data;
}

/* True when the rule answers the method. */
static bool take(const route *rt, http_method method, route_match *out)
{
    out->allowed |= rt->methods;
    if (!(rt->methods & method_bit(method)))
        return false;
    out->route = rt;
    return true;
}

static void find(const router *r, slice path, http_method method, route_match *out)
{
    for (const route *rt = map_get(&r->statics, path); rt; rt = rt->same_path)
        if (take(rt, method, out))
            return;
    slice rest = slice_of(path.data + 1, path.len - 1);
    for (size_t i = 0; i < r->variable_count; i++)
        if (match_route(r->variables[i], rest, out->args) && take(r->variables[i], method, out))
            return;
}

void router_match(const router *r, slice path, http_method method, route_match *out)
{
    out->route = NULL;
    out->allowed = 0;
    if (path.len == 0 || path.data[0] != '/')
        return;
    find(r, path, method, out);
    if (!out->route && method == HTTP_METHOD_HEAD)
        find(r, path, HTTP_METHOD_GET, out);
    if (out->allowed & method_bit(HTTP_METHOD_GET))
        out->allowed |= method_bit(HTTP_METHOD_HEAD);
}

slice route_match_arg(const route_match *match, const char *name)
{
    size_t arg = 0;
    for (size_t i = 0; match->route && i < match->route->segment_count; i++) {
        const route_segment *segment = &match->route->segments[i];
        if (segment->kind == ROUTE_STATIC)
            continue;
        if (slice_is(segment->name, name))
            return match->args[arg];
        arg++;
    }
    return (slice){ NULL, 0 };
}
