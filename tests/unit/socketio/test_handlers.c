#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "socketio/handlers.h"

static sio_handlers handlers;
static int64_t blocks_before;

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    sio_handlers_init(&handlers);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_never();
    sio_handlers_deinit(&handlers);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static int fn(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static int method(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static int rest_method(sio_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 2;
}

/* A function is known by its arg here. */
static void set(const char *ns, const char *event, const char *label)
{
    assert_int_equal(sio_handlers_set(&handlers, ns, event, fn, NULL, (void *)(uintptr_t)label), 0);
}

static bool find(const char *ns, const char *event, sio_handler_entry *entry)
{
    const sio_handler_table *table = sio_handlers_get(&handlers, slice_str(ns));
    return sio_handlers_find(&handlers, table, slice_str(event), entry);
}

static void expect(const char *ns, const char *event, const char *label)
{
    sio_handler_entry entry;
    bool is_found = find(ns, event, &entry);
    assert_int_equal(is_found, label != NULL);
    if (label)
        assert_string_equal(entry.arg, label);
}

static void test_sio_handlers_order_of_lookup(void **state)
{
    (void)state;
    expect("/chat", "e", NULL);
    set("*", "*", "* *");
    expect("/chat", "e", "* *");
    expect("/other", "e", "* *");
    set("*", "e", "* e");
    expect("/chat", "e", "* e");
    expect("/chat", "f", "* *");
    set("/chat", "*", "chat *");
    expect("/chat", "e", "chat *");
    expect("/other", "e", "* e");
    set("/chat", "e", "chat e");
    expect("/chat", "e", "chat e");
    expect("/chat", "f", "chat *");
    set("/chat", "e", "again");
    expect("/chat", "e", "again");
}

static void test_sio_handlers_connect_and_disconnect_are_never_caught_by_a_star(void **state)
{
    (void)state;
    set("/", "*", "/ *");
    set("*", "*", "* *");
    expect("/", "connect", NULL);
    expect("/", "disconnect", NULL);
    expect("/", "message", "/ *");
    set("*", "connect", "* connect");
    expect("/", "connect", "* connect");
    set("/", "connect", "/ connect");
    expect("/", "connect", "/ connect");
}

static const sio_method methods[] = { { "m", method }, { "*", rest_method }, { 0 } };
static const sio_method few_methods[] = { { "m", method }, { 0 } };

static void test_sio_handlers_functions_come_before_classes(void **state)
{
    (void)state;
    static const sio_namespace_class chat = { .name = "/chat", .methods = methods,
                                              .on_connect = method };
    sio_handler_table *table = sio_handlers_table(&handlers, "/chat");
    table->klass = &chat;
    table->self = "self";
    sio_handler_entry entry;
    assert_true(find("/chat", "m", &entry));
    assert_ptr_equal(entry.fn, method);
    assert_string_equal(entry.arg, "self");
    assert_true(find("/chat", "else", &entry));
    assert_ptr_equal(entry.fn, rest_method);
    assert_true(find("/chat", "connect", &entry));
    assert_ptr_equal(entry.fn, method);
    /* Not by the method "*". */
    assert_false(find("/chat", "disconnect", &entry));
    set("*", "*", "* *");
    expect("/chat", "m", "* *");
    set("/chat", "m", "chat m");
    expect("/chat", "m", "chat m");
}

static void test_sio_handlers_class_of_any_namespace_comes_last(void **state)
{
    (void)state;
    static const sio_namespace_class chat = { .name = "/chat", .methods = few_methods };
    static const sio_namespace_class any = { .name = "*", .methods = methods };
    sio_handlers_table(&handlers, "/chat")->klass = &chat;
    sio_handlers_table(&handlers, "/chat")->self = "chat";
    sio_handlers_table(&handlers, "*")->klass = &any;
    sio_handlers_table(&handlers, "*")->self = "any";
    expect("/chat", "m", "chat");
    expect("/chat", "x", "any");
    expect("/other", "m", "any");
    expect("/other", "connect", NULL);
}

static const sio_handler_table *trigger(const char *ns, const char *event)
{
    return sio_handlers_trigger(&handlers, sio_handlers_get(&handlers, slice_str(ns)),
                                slice_str(event));
}

static void test_sio_handlers_trigger_is_that_of_the_class_whose_event_it_is(void **state)
{
    (void)state;
    static const sio_namespace_class chat = { .name = "/chat", .methods = few_methods };
    static const sio_namespace_class own = { .name = "/own", .trigger_event = method };
    static const sio_namespace_class any = { .name = "*", .trigger_event = method };
    assert_null(trigger("/chat", "m"));
    sio_handlers_table(&handlers, "/chat")->klass = &chat;
    sio_handlers_table(&handlers, "/own")->klass = &own;
    assert_null(trigger("/chat", "x"));
    sio_handler_table *star = sio_handlers_table(&handlers, "*");
    star->klass = &any;
    assert_null(trigger("/chat", "m"));
    assert_ptr_equal(trigger("/chat", "x"), star);
    assert_ptr_equal(trigger("/nobody", "x"), star);
    assert_string_equal(trigger("/own", "x")->ns, "/own");
}

static void test_sio_handlers_without_memory_nothing_is_set(void **state)
{
    (void)state;
    for (int n = 1; n < 20; n++) {
        mem_fail_after(n);
        int error = sio_handlers_set(&handlers, "/chat", "e", fn, NULL, "label");
        mem_fail_never();
        if (error == 0) {
            expect("/chat", "e", "label");
            return;
        }
        assert_int_equal(error, CARAFE_ERR_NOMEM);
        expect("/chat", "e", NULL);
    }
    fail();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sio_handlers_order_of_lookup),
        TEST(test_sio_handlers_connect_and_disconnect_are_never_caught_by_a_star),
        TEST(test_sio_handlers_functions_come_before_classes),
        TEST(test_sio_handlers_class_of_any_namespace_comes_last),
        TEST(test_sio_handlers_trigger_is_that_of_the_class_whose_event_it_is),
        TEST(test_sio_handlers_without_memory_nothing_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
