#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http/mime.h"

static void assert_type(const char *path, const char *expected)
{
    assert_string_equal(http_mime_type(slice_str(path)), expected);
}

static void test_http_mime_type_known_extensions_match(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"index.html", "text/html; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.js", "text/javascript; charset=utf-8"},
        {"a.mjs", "text/javascript; charset=utf-8"},
        {"a.json", "application/json"},
        {"a.js.map", "application/json"},
        {"a.png", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"a.jpeg", "image/jpeg"},
        {"a.gif", "image/gif"},
        {"a.svg", "image/svg+xml"},
        {"favicon.ico", "image/x-icon"},
        {"a.webp", "image/webp"},
        {"a.avif", "image/avif"},
        {"a.woff", "font/woff"},
        {"a.woff2", "font/woff2"},
        {"a.ttf", "font/ttf"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.md", "text/markdown; charset=utf-8"},
        {"a.xml", "text/xml; charset=utf-8"},
        {"a.pdf", "application/pdf"},
        {"a.wasm", "application/wasm"},
        {"a.mp3", "audio/mpeg"},
        {"a.mp4", "video/mp4"},
        {"a.webm", "video/webm"},
        {"a.csv", "text/csv; charset=utf-8"},
        {"a.zip", "application/zip"},
        {"a.tar.gz", "application/gzip"},
        {"a.webmanifest", "application/manifest+json"},
        {"a.7z", "application/x-7z-compressed"}, /* the ends of the table */
        {"a.zst", "application/zstd"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_type(cases[i][0], cases[i][1]);
}

static void test_http_mime_type_case_is_ignored(void **state)
{
    (void)state;
    assert_type("A.HTML", "text/html; charset=utf-8");
    assert_type("A.WoFF2", "font/woff2");
}

static void test_http_mime_type_only_last_extension_of_last_segment_counts(void **state)
{
    (void)state;
    assert_type("/static/a.b/c.css", "text/css; charset=utf-8");
    assert_type("a.html/b", "application/octet-stream");
    assert_type("a.html.bak", "application/octet-stream");
    assert_type("a.css.", "application/octet-stream");
}

static void test_http_mime_type_unknown_is_octet_stream(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "a",
                                        ".",
                                        ".html",
                                        "dir/.html",
                                        "html",
                                        "a.zzz",
                                        "a.ht",
                                        "a.htmlx",
                                        "a.webmanifestx",
                                        "a.averyveryverylongextension"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_type(cases[i], "application/octet-stream");
    assert_string_equal(http_mime_type((slice){NULL, 0}), "application/octet-stream");
    assert_string_equal(http_mime_type(slice_of("a.js\0", 5)), "application/octet-stream");
}

static void test_http_mime_is_compressible_texts_are_and_media_are_not(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "text/html; charset=utf-8", "application/json", "image/svg+xml",
        "application/wasm",         "Text/Plain ;x",    "application/ld+json"};
    static const char *const no[] = {"image/png", "application/zip", "text/",
                                     "",          "xtext/html",      "application/octet-stream"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(http_mime_is_compressible(slice_str(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(http_mime_is_compressible(slice_str(no[i])));
    assert_false(http_mime_is_compressible((slice){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_mime_type_known_extensions_match),
        cmocka_unit_test(test_http_mime_type_case_is_ignored),
        cmocka_unit_test(test_http_mime_type_only_last_extension_of_last_segment_counts),
        cmocka_unit_test(test_http_mime_type_unknown_is_octet_stream),
        cmocka_unit_test(test_http_mime_is_compressible_texts_are_and_media_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
