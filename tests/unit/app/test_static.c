#include "app/core.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/folder.h"
#include "app_memory.h"
#include "base/log.h"
#include "base/mem.h"

/*   <top>/secret.txt                 outside of the folder that is served
 *   <top>/www/index.html  a.txt  empty.txt  .hidden  fifo  inside -> sub/b.css
 *             out -> ../secret.txt  up -> ..  abs -> <top>/secret.txt  loop -> loop
 *   <top>/www/sub/b.css
 *   <top>/www/docs/index.html
 *   <top>/www/.well-known/x */
static char top[] = "/tmp/carafe-static-XXXXXX";
static char root[PATH_MAX];
static app_memory app;
static int64_t blocks_before;
static http_answer answer;

static void path_of(char *dst, const char *name)
{
    assert_true(snprintf(dst, PATH_MAX, "%s/%s", top, name) < PATH_MAX);
}

static void make_file(const char *name, const char *text)
{
    char path[PATH_MAX];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_dir(const char *name)
{
    char path[PATH_MAX];
    path_of(path, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *name, const char *target)
{
    char path[PATH_MAX];
    path_of(path, name);
    assert_int_equal(symlink(target, path), 0);
}

static int make_tree(void **state)
{
    char path[PATH_MAX];
    (void)state;
    log_set_level(LOG_APP, LOG_OFF);
    assert_non_null(mkdtemp(top));
    path_of(root, "www");
    make_file("secret.txt", "secret");
    make_dir("www");
    make_dir("www/sub");
    make_dir("www/docs");
    make_dir("www/.well-known");
    make_file("www/index.html", "<h1>home");
    make_file("www/a.txt", "0123456789");
    make_file("www/empty.txt", "");
    make_file("www/.hidden", "hidden");
    make_file("www/sub/b.css", "p{}");
    make_file("www/docs/index.html", "docs");
    make_file("www/.well-known/x", "known");
    make_link("www/inside", "sub/b.css");
    make_link("www/out", "../secret.txt");
    make_link("www/up", "..");
    make_link("www/loop", "loop");
    path_of(path, "secret.txt");
    make_link("www/abs", path);
    path_of(path, "www/fifo");
    assert_int_equal(mkfifo(path, 0644), 0);
    return 0;
}

static int remove_tree(void **state)
{
    char command[PATH_MAX];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

static int setup(void **state)
{
    (void)state;
    blocks_before = mem_blocks_in_use();
    app_memory_open(&app);
    assert_int_equal(carafe_static(app.app, "/static", root), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    app_memory_close(&app);
    assert_int_equal(mem_blocks_in_use(), blocks_before);
    return 0;
}

static int get(const char *target)
{
    app_memory_get(&app, "GET", target, &answer);
    return answer.status;
}

static void check_header(const char *name, const char *value)
{
    const char *found = http_answer_header(&answer, name);
    if (!value) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, value);
}

/* ---- opening ---- */

typedef int open_fn(const char *dir, const char *name);

static void check_open(open_fn *open_file, const char *name, const char *text)
{
    char bytes[64];
    int fd = open_file(root, name);
    assert_true(fd >= 0);
    ssize_t got = read(fd, bytes, sizeof(bytes));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(bytes, text, (size_t)got);
    close(fd);
}

static void check_refused(open_fn *open_file)
{
    static const char *const names[] = {
        "none", "out",    "up/secret.txt", "abs",
        "loop", "a.txt/", "../secret.txt", "sub/../../secret.txt"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(open_file(root, names[i]), CARAFE_ERR_FILE);
    assert_int_equal(open_file("/nonexistent", "a.txt"), CARAFE_ERR_FILE);
    char absolute[PATH_MAX];
    path_of(absolute, "www/a.txt");
    assert_int_equal(open_file(root, absolute), CARAFE_ERR_FILE);
}

static void test_folder_open_stays_below_the_folder(void **state)
{
    (void)state;
    check_open(folder_open, "a.txt", "0123456789");
    check_open(folder_open, "sub/b.css", "p{}");
    check_open(folder_open, "inside", "p{}");
    check_refused(folder_open);
}

static void test_folder_open_by_steps_follows_no_link(void **state)
{
    (void)state;
    check_open(folder_open_by_steps, "a.txt", "0123456789");
    check_open(folder_open_by_steps, "sub/b.css", "p{}");
    assert_int_equal(folder_open_by_steps(root, "inside"), CARAFE_ERR_FILE);
    check_refused(folder_open_by_steps);
}

/* ---- serving ---- */

static void test_carafe_static_serves_files(void **state)
{
    (void)state;
    assert_int_equal(get("/static/a.txt"), 200);
    assert_true(http_answer_body_is(&answer, "0123456789"));
    check_header("Content-Type", "text/plain; charset=utf-8");
    check_header("Accept-Ranges", "bytes");
    assert_non_null(http_answer_header(&answer, "Last-Modified"));
    const char *etag = http_answer_header(&answer, "ETag");
    assert_non_null(etag);
    assert_int_equal(etag[0], '"');
    assert_int_equal(get("/static/sub/b.css"), 200);
    check_header("Content-Type", "text/css; charset=utf-8");
    assert_int_equal(get("/static/inside"), 200);
    assert_int_equal(get("/static/%61.txt?v=1"), 200);
    assert_int_equal(get("/static/empty.txt"), 200);
    assert_int_equal(answer.body_len, 0);
    assert_int_equal(get("/static/.well-known/x"), 200);
}

static void test_carafe_static_never_leaves_the_folder(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/..%2fsecret.txt",
        "/static/sub/../../secret.txt",
        "/static/sub/%2E%2E/%2E%2E/secret.txt",
        "/static/....//secret.txt",
        "/static/%252e%252e/secret.txt",
        "/static//a.txt",
        "/static/sub//b.css",
        "/static/%2fetc/passwd",
        "/static//etc/passwd",
        "/static/a.txt%00",
        "/static/a.txt%00.html",
        "/static/%00",
        "/static/out",
        "/static/up/secret.txt",
        "/static/abs",
        "/static/loop",
        "/static/.hidden",
        "/static/..",
        "/static/.",
        "/static/./a.txt",
        "/static/%5c..%5csecret.txt",
        "/static/..%5csecret.txt",
        "/static/c:/a.txt",
        "/static/a.txt/",
        "/static/a.txt/b",
        "/static/fifo",
        "/static/none",
        "/static/sub/",
        "/static/sub",
        "/static/%zz",
        "/staticx/a.txt",
        "/static%2fa.txt%2f",
        "//static/a.txt",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        int status = get(targets[i]);
        if (status != 404)
            print_error("%s\n", targets[i]);
        assert_int_equal(status, 404);
        assert_null(memmem(answer.body, answer.body_len, "secret", 6));
    }
}

static void test_carafe_static_index_of_a_folder(void **state)
{
    (void)state;
    assert_int_equal(get("/static/"), 200);
    assert_true(http_answer_body_is(&answer, "<h1>home"));
    check_header("Content-Type", "text/html; charset=utf-8");
    assert_int_equal(get("/static"), 308);
    check_header("Location", "/static/");
    assert_int_equal(get("/static/docs/"), 200);
    assert_true(http_answer_body_is(&answer, "docs"));
    assert_int_equal(get("/static/docs?a=1"), 308);
    check_header("Location", "/static/docs/?a=1");
}

static int index_view(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "view");
}

static void test_carafe_static_at_the_root_leaves_rules_alone(void **state)
{
    (void)state;
    assert_int_equal(carafe_static(app.app, "/", root), 0);
    assert_int_equal(get("/a.txt"), 200);
    assert_int_equal(get("/"), 200);
    assert_true(http_answer_body_is(&answer, "<h1>home"));
    assert_int_equal(get("//a.txt"), 404);
    assert_int_equal(get("//docs"), 404);
    assert_int_equal(get("/docs"), 308);
    assert_int_equal(carafe_route(app.app, "/", index_view), 0);
    assert_int_equal(carafe_route(app.app, "/<name>.txt", index_view), 0);
    assert_int_equal(get("/"), 200);
    assert_true(http_answer_body_is(&answer, "view"));
    assert_int_equal(get("/a.txt"), 200);
    assert_true(http_answer_body_is(&answer, "view"));
}

static void test_carafe_static_methods(void **state)
{
    (void)state;
    app_memory_get(&app, "HEAD", "/static/a.txt", &answer);
    assert_int_equal(answer.status, 200);
    check_header("Content-Length", "10");
    app_memory_get(&app, "POST", "/static/a.txt", &answer);
    assert_int_equal(answer.status, 405);
    check_header("Allow", "GET, HEAD, OPTIONS");
}

/* GET /static/a.txt with these header lines. */
static int get_with(const char *lines)
{
    char request[1024];
    snprintf(request, sizeof(request), "GET /static/a.txt HTTP/1.1\r\nHost: x\r\n%s\r\n", lines);
    app_memory_ask(&app, request, &answer);
    return answer.status;
}

static void test_carafe_static_ranges(void **state)
{
    (void)state;
    assert_int_equal(get_with("Range: bytes=2-4\r\n"), 206);
    assert_true(http_answer_body_is(&answer, "234"));
    check_header("Content-Range", "bytes 2-4/10");
    check_header("Content-Length", "3");
    assert_int_equal(get_with("Range: bytes=-1\r\n"), 206);
    assert_true(http_answer_body_is(&answer, "9"));
    assert_int_equal(get_with("Range: bytes=8-\r\n"), 206);
    assert_true(http_answer_body_is(&answer, "89"));
    assert_int_equal(get_with("Range: bytes=10-\r\n"), 416);
    check_header("Content-Range", "bytes */10");
    assert_int_equal(answer.body_len, 0);
    assert_int_equal(get_with("Range: bytes=0-1,4-5\r\n"), 200);
    check_header("Content-Range", NULL);
    assert_int_equal(get_with("Range: bytes=2-4\r\nIf-Range: \"other\"\r\n"), 200);
}

static void test_carafe_static_conditional_requests(void **state)
{
    (void)state;
    char lines[256], etag[128];
    assert_int_equal(get("/static/a.txt"), 200);
    snprintf(etag, sizeof(etag), "%s", http_answer_header(&answer, "ETag"));
    snprintf(lines, sizeof(lines), "If-None-Match: %s\r\n", etag);
    assert_int_equal(get_with(lines), 304);
    check_header("ETag", etag);
    assert_int_equal(get_with("If-None-Match: \"other\"\r\n"), 200);
    snprintf(lines, sizeof(lines), "If-Match: %s\r\n", etag);
    assert_int_equal(get_with(lines), 200);
    assert_int_equal(get_with("If-Match: \"other\"\r\n"), 412);
    snprintf(lines, sizeof(lines), "If-Range: %s\r\nRange: bytes=0-0\r\n", etag);
    assert_int_equal(get_with(lines), 206);
    assert_int_equal(get("/static/a.txt"), 200);
    snprintf(lines, sizeof(lines), "If-Modified-Since: %s\r\n",
             http_answer_header(&answer, "Last-Modified"));
    assert_int_equal(get_with(lines), 304);
    assert_int_equal(get_with("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n"), 200);
}

static void test_carafe_static_etag_changes_with_the_file(void **state)
{
    (void)state;
    char before[128];
    make_file("www/changing.txt", "one");
    assert_int_equal(get("/static/changing.txt"), 200);
    snprintf(before, sizeof(before), "%s", http_answer_header(&answer, "ETag"));
    make_file("www/changing.txt", "three");
    assert_int_equal(get("/static/changing.txt"), 200);
    assert_string_not_equal(http_answer_header(&answer, "ETag"), before);
}

static void test_carafe_static_refuses_bad_arguments(void **state)
{
    (void)state;
    assert_int_equal(carafe_static(app.app, "static2", root), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_static(app.app, NULL, root), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_static(app.app, "/x", NULL), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_static(app.app, "/<x>", root), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_static(app.app, "/static/", root), CARAFE_ERR_ARGUMENT);
    assert_int_equal(carafe_static(app.app, "/x", "/nonexistent"), CARAFE_ERR_FILE);
    char file[PATH_MAX];
    path_of(file, "secret.txt");
    assert_int_equal(carafe_static(app.app, "/x", file), CARAFE_ERR_FILE);
}

/* ---- carafe_send_file ---- */

static int not_found_page(carafe_request *req, void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    path_of(path, "www/index.html");
    assert_int_equal(carafe_send_file(req, path), 0);
    return 404;
}

static int replaced_view(carafe_request *req, void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    path_of(path, "www/a.txt");
    assert_int_equal(carafe_send_file(req, path), 0);
    assert_int_equal(carafe_send_file(req, path), 0);
    return carafe_text(req, "text");
}

static void test_carafe_send_file_with_another_status_is_sent_whole(void **state)
{
    (void)state;
    carafe_route(app.app, "/none", not_found_page);
    app_memory_ask(&app, "GET /none HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n", &answer);
    assert_int_equal(answer.status, 404);
    assert_true(http_answer_body_is(&answer, "<h1>home"));
}

static void test_carafe_send_file_is_replaced_by_a_later_body(void **state)
{
    (void)state;
    carafe_route(app.app, "/r", replaced_view);
    assert_int_equal(get("/r"), 200);
    assert_true(http_answer_body_is(&answer, "text"));
    check_header("ETag", NULL);
}

static int open_fd_count(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_carafe_static_leaks_no_descriptor(void **state)
{
    (void)state;
    carafe_route(app.app, "/r", replaced_view);
    int before = open_fd_count();
    static const char *const targets[] = { "/r",          "/static/a.txt", "/static/docs",
                                           "/static/sub", "/static/fifo",  "/static/empty.txt",
                                           "/static/out" };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        get(targets[i]);
        app_memory_get(&app, "HEAD", targets[i], &answer);
    }
    get_with("Range: bytes=99-\r\n");
    assert_int_equal(open_fd_count(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_folder_open_stays_below_the_folder),
        TEST(test_folder_open_by_steps_follows_no_link),
        TEST(test_carafe_static_serves_files),
        TEST(test_carafe_static_never_leaves_the_folder),
        TEST(test_carafe_static_index_of_a_folder),
        TEST(test_carafe_static_at_the_root_leaves_rules_alone),
        TEST(test_carafe_static_methods),
        TEST(test_carafe_static_ranges),
        TEST(test_carafe_static_conditional_requests),
        TEST(test_carafe_static_etag_changes_with_the_file),
        TEST(test_carafe_static_refuses_bad_arguments),
        TEST(test_carafe_send_file_with_another_status_is_sent_whole),
        TEST(test_carafe_send_file_is_replaced_by_a_later_body),
        TEST(test_carafe_static_leaks_no_descriptor),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
