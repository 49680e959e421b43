/* Namespaces other than "/":
 *
 *   /locked   refuses without auth { token: "right" }, in the way that auth.how says
 *   /early    emits in its connect handler, which also waits
 *   /quiet    accepted without a handler of its own
 *   /bare     no error handler
 *   /class    a class with methods and trigger_event
 *   /wild     one handler for all events */
#include <stdio.h>
#include <string.h>

#include "server.h"

int on_disconnect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    printf("left %s %s %s\n", sio_namespace(ctx), sio_sid(ctx), sio_reason(ctx));
    return SIO_OK;
}

int register_methods(sio_server *sio, const char *ns, const sio_method *methods)
{
    for (; methods->event; methods++) {
        int error = sio_server_on(sio, methods->event, methods->handler, .ns = ns);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- /locked ---- */

static int on_locked_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *auth = sio_auth(ctx);
    const char *token = json_string_value(json_object_get(auth, "token"));
    const char *how = json_string_value(json_object_get(auth, "how"));
    if (token && strcmp(token, "right") == 0)
        return sio_emit(ctx, "auth", json_incref(auth));
    if (how && strcmp(how, "silent") == 0)
        return sio_refuse(ctx, NULL, NULL);
    if (how && strcmp(how, "error") == 0)
        return sio_fail(ctx, "broken inside");
    return sio_refuse(ctx, "not authorized", sio_pack("{s:i, s:[s]}", "code", 7, "ask", "admin"));
}

/* Everything a client may do before it is let in must not reach a handler. */
static int on_locked_secret(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", "secret");
}

static const sio_method locked_methods[] = {
    { "connect", on_locked_connect },
    { "disconnect", on_disconnect },
    { "secret", on_locked_secret },
    { NULL, NULL },
};

/* ---- /early ---- */

static int on_early_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    sio_emit(ctx, "early", json_integer(1));
    sio_sleep(0.05);
    sio_emit(ctx, "early", json_integer(2));
    json_object_set_new(sio_data(ctx), "ready", json_true());
    return sio_join_room(ctx, "early birds");
}

static int on_early_ready(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "b", json_is_true(json_object_get(sio_data(ctx), "ready")));
}

static const sio_method early_methods[] = {
    { "connect", on_early_connect },
    { "disconnect", on_disconnect },
    { "ready", on_early_ready },
    { NULL, NULL },
};

/* ---- /bare ---- */

static int on_fail(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_fail(ctx, "failed on purpose");
}

static int on_ok(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", sio_namespace(ctx));
}

static const sio_method bare_methods[] = {
    { "fail", on_fail },
    { "ok", on_ok },
    { "disconnect", on_disconnect },
    { NULL, NULL },
};

/* ---- /class ---- */

static int on_class_connect(sio_ctx *ctx, void *self)
{
    return sio_emit(ctx, "hello", json_string(self));
}

static int on_class_rest(sio_ctx *ctx, void *self)
{
    (void)self;
    return sio_reply(ctx, "s s", "rest", sio_event(ctx));
}

static int on_class_method(sio_ctx *ctx, void *self)
{
    return sio_reply(ctx, "s s", "method", (const char *)self);
}

/* Passes every event on, and tells the client which ones went through here. */
static int on_class_event(sio_ctx *ctx, void *self)
{
    (void)self;
    int result = sio_dispatch(ctx);
    if (strcmp(sio_event(ctx), "disconnect") != 0)
        sio_emit(ctx, "seen", json_string(sio_event(ctx)));
    return result;
}

static const sio_method class_methods[] = {
    { "method", on_class_method },
    { "function", on_class_method },
    { "*", on_class_rest },
    { NULL, NULL },
};

static const sio_namespace_class class_namespace = {
    .name = "/class",
    .on_connect = on_class_connect,
    .on_disconnect = on_disconnect,
    .methods = class_methods,
    .trigger_event = on_class_event,
};

static int on_class_function(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_reply(ctx, "s", "function");
}

/* ---- /wild ---- */

static int on_wild(sio_ctx *ctx, void *arg)
{
    (void)arg;
    json_t *answer = json_pack("[s, O]", sio_event(ctx), sio_args(ctx));
    return sio_reply_json(ctx, answer);
}

static const sio_method wild_methods[] = {
    { "*", on_wild },
    { NULL, NULL },
};

int namespaces_init(sio_server *sio)
{
    static char self[] = "self";
    int error = register_methods(sio, "/locked", locked_methods);
    if (error == 0)
        error = register_methods(sio, "/early", early_methods);
    if (error == 0)
        error = register_methods(sio, "/bare", bare_methods);
    if (error == 0)
        error = register_methods(sio, "/wild", wild_methods);
    if (error == 0)
        error = sio_server_on_namespace(sio, &class_namespace, self);
    if (error == 0)
        error = sio_server_on(sio, "function", on_class_function, .ns = "/class");
    return error;
}
