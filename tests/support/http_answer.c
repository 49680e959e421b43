#include "http_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

const char *http_answer_header(const http_answer *answer, const char *name)
{
    static _Thread_local char value[HTTP_ANSWER_HEAD_SIZE];
    size_t name_len = strlen(name);
    const char *line = strstr(answer->head, "\r\n") + 2;
    for (; strncmp(line, "\r\n", 2) != 0; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
            continue;
        const char *from = line + name_len + 1;
        from += strspn(from, " ");
        size_t len = (size_t)(strstr(from, "\r\n") - from);
        memcpy(value, from, len);
        value[len] = '\0';
        return value;
    }
    return NULL;
}

size_t http_answer_parse(const void *data, size_t len, bool is_head, http_answer *out)
{
    const char *end = len ? memmem(data, len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return 0;
    size_t head_len = (size_t)(end - (const char *)data) + 4;
    assert_true(head_len < HTTP_ANSWER_HEAD_SIZE);
    memcpy(out->head, data, head_len);
    out->head[head_len] = '\0';
    assert_int_equal(strlen(out->head), head_len);
    int minor;
    assert_int_equal(sscanf(out->head, "HTTP/1.%d %d ", &minor, &out->status), 2);
    const char *length = http_answer_header(out, "Content-Length");
    bool has_body = !is_head && out->status >= 200 && out->status != 204 && out->status != 304;
    if (has_body)
        assert_non_null(length);
    out->body = (const char *)data + head_len;
    out->body_len = has_body ? strtoull(length, NULL, 10) : 0;
    return len - head_len < out->body_len ? 0 : head_len + out->body_len;
}

bool http_answer_body_is(const http_answer *answer, const char *text)
{
    return answer->body_len == strlen(text) && memcmp(answer->body, text, answer->body_len) == 0;
}
