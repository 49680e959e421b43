#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

typedef struct item {
    int value;
    list node;
} item;

static void fill(list *head, item *items, int count, int first)
{
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].value = first + i;
        list_push_back(head, &items[i].node);
    }
}

/* Checks both directions. */
static void assert_values(const list *head, int first, int count)
{
    int expected = first;
    for (const list *at = head->next; at != head; at = at->next)
        assert_int_equal(LIST_ENTRY(at, const item, node)->value, expected++);
    assert_int_equal(expected, first + count);
    for (const list *at = head->prev; at != head; at = at->prev)
        assert_int_equal(LIST_ENTRY(at, const item, node)->value, --expected);
    assert_int_equal(expected, first);
}

static void test_list_push_back_keeps_the_order(void **state)
{
    (void)state;
    list head;
    item items[4];
    list_init(&head);
    assert_true(list_is_empty(&head));
    fill(&head, items, 4, 1);
    assert_false(list_is_empty(&head));
    assert_values(&head, 1, 4);
}

static void test_list_unlink_first_middle_last_and_twice(void **state)
{
    (void)state;
    list head;
    item items[5];
    fill(&head, items, 5, 0);
    list_unlink(&items[0].node);
    list_unlink(&items[4].node);
    list_unlink(&items[4].node);
    assert_values(&head, 1, 3);
    assert_false(list_is_linked(&items[4].node));
    assert_true(list_is_linked(&items[2].node));
    for (int i = 1; i <= 3; i++)
        list_unlink(&items[i].node);
    assert_true(list_is_empty(&head));
}

static void test_list_pop_front_takes_in_order_then_null(void **state)
{
    (void)state;
    list head;
    item items[3];
    fill(&head, items, 3, 7);
    for (int i = 0; i < 3; i++) {
        list *node = list_pop_front(&head);
        assert_ptr_equal(LIST_ENTRY(node, item, node), &items[i]);
        assert_false(list_is_linked(node));
    }
    assert_null(list_pop_front(&head));
}

static void test_list_splice_moves_all_behind(void **state)
{
    (void)state;
    list to, from;
    item a[2], b[3];
    fill(&to, a, 2, 0);
    fill(&from, b, 3, 2);
    list_splice(&to, &from);
    assert_values(&to, 0, 5);
    assert_true(list_is_empty(&from));
    list_splice(&to, &from);
    assert_values(&to, 0, 5);
    list_splice(&from, &to);
    assert_values(&from, 0, 5);
    assert_true(list_is_empty(&to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_push_back_keeps_the_order),
        cmocka_unit_test(test_list_unlink_first_middle_last_and_twice),
        cmocka_unit_test(test_list_pop_front_takes_in_order_then_null),
        cmocka_unit_test(test_list_splice_moves_all_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
