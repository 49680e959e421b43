#include "memory_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

memory_http memory_server;

static memory_http *const s = &memory_server;

/* ---- the service ---- */

static void on_gone(http_request *req)
{
    (void)req;
    s->gone++;
}

static size_t number_of(const http_request *req)
{
    char digits[24];
    size_t len = req->head.query.len < sizeof(digits) - 1 ? req->head.query.len : 0;
    memcpy(digits, len ? req->head.query.data : "", len);
    digits[len] = '\0';
    return strtoul(digits, NULL, 10);
}

static void on_head(http_request *req)
{
    s->heads++;
    if (s->sets_on_gone)
        req->on_gone = on_gone;
    if (slice_is(req->head.path, "/early"))
        http_respond(req, 403, NULL, 0, SLICE_LITERAL("early"));
    else if (slice_is(req->head.path, "/limit"))
        req->body_size_max = number_of(req);
}

static void answer_echo(http_request *req)
{
    buf text = {0};
    int error = buf_printf(&text, "%.*s %.*s %.*s", (int)req->head.method_name.len,
                           req->head.method_name.data, (int)req->head.path.len, req->head.path.data,
                           (int)buf_readable(&req->body),
                           buf_readable(&req->body) ? (char *)buf_head(&req->body) : "");
    if (error < 0)
        http_respond_error(req, 503, NULL);
    else
        http_respond(req, 200, NULL, 0, buf_slice(&text));
    buf_deinit(&text);
}

static void answer_size(http_request *req)
{
    size_t len = number_of(req);
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', len);
    http_respond(req, 200, NULL, 0, slice_of(bytes, len));
    free(bytes);
}

static void answer_file(http_request *req)
{
    size_t len = number_of(req);
    int fd = memfd_create("answer", MFD_CLOEXEC);
    char bytes[1000];
    memset(bytes, 'f', sizeof(bytes));
    for (size_t done = 0; done < len;) {
        size_t part = len - done < sizeof(bytes) ? len - done : sizeof(bytes);
        assert_int_equal(write(fd, bytes, part), part);
        done += part;
    }
    http_respond_file(req, 200, NULL, 0, fd, 0, len);
}

static void on_request(http_request *req)
{
    const slice path = req->head.path;
    s->requests++;
    if (slice_is(path, "/echo") || slice_is(path, "/limit")) {
        answer_echo(req);
    } else if (slice_is(path, "/later")) {
        assert_true(s->later_count < MEMORY_HTTP_LATER_MAX);
        s->later[s->later_count++] = req;
    } else if (slice_is(path, "/size")) {
        answer_size(req);
    } else if (slice_is(path, "/file")) {
        answer_file(req);
    } else if (slice_is(path, "/drop")) {
        http_request_drop(req);
    } else if (slice_is(path, "/invalid")) {
        http_header bad = {SLICE_LITERAL("X"), SLICE_LITERAL("a\r\nSet-Cookie: b")};
        http_respond(req, 200, &bad, 1, SLICE_LITERAL("body"));
    } else if (slice_is(path, "/error")) {
        http_respond_error(req, (int)number_of(req), NULL);
    } else {
        http_respond(req, 404, NULL, 0, SLICE_LITERAL("not found"));
    }
}

/* ---- the server ---- */

static void on_line(log_level level, const char *line, void *arg)
{
    (void)arg;
    if (level < LOG_WARNING)
        return;
    s->log_count++;
    size_t len = strlen(s->log);
    snprintf(s->log + len, sizeof(s->log) - len, "%s\n", line);
}

int memory_http_start(void **state)
{
    (void)state;
    memset(s, 0, sizeof(*s));
    s->blocks_before = mem_blocks_in_use();
    assert_int_equal(worker_init(&s->worker, 0, 0), 0);
    worker_set_now(&s->worker, worker_now(&s->worker));
    s->service.on_head = on_head;
    s->service.on_request = on_request;
    log_set_sink(on_line, NULL);
    return 0;
}

int memory_http_stop(void **state)
{
    (void)state;
    mem_fail_never();
    http_worker_deinit(&s->worker);
    worker_deinit(&s->worker);
    log_set_sink(NULL, NULL);
    assert_int_equal(mem_blocks_in_use(), s->blocks_before);
    return 0;
}

void memory_http_turn(void)
{
    worker_turn(&s->worker, false);
}

void memory_http_pass(uint64_t ms)
{
    worker_set_now(&s->worker, worker_now(&s->worker) + ms);
    memory_http_turn();
    memory_http_turn();
}

/* ---- clients ---- */

net_memory *memory_http_connect(void)
{
    http_conn *conn = http_conn_new(&s->service);
    assert_non_null(conn);
    net_memory *m = net_memory_new(&s->worker, &http_protocol, conn);
    assert_non_null(m);
    http_conn_bind(conn, m->conn);
    return m;
}

void memory_http_feed(net_memory *m, const char *text)
{
    net_memory_feed(m, text, strlen(text));
}

void memory_http_send(net_memory *m, const char *text)
{
    memory_http_feed(m, text);
    memory_http_turn();
    memory_http_turn();
}

void memory_http_leave(net_memory *m)
{
    net_memory_free(m);
    memory_http_turn();
}

const char *memory_answer_header(const memory_answer *answer, const char *name)
{
    static char value[512];
    slice rest = answer->head, line;
    value[0] = '\0';
    while (slice_split(&rest, '\n', &line)) {
        slice left = line, part;
        if (!memchr(line.data, ':', line.len) || !slice_split(&left, ':', &part) ||
            !slice_is_nocase(part, name))
            continue;
        if (left.len && left.data[left.len - 1] == '\r')
            left.len--;
        left = slice_trim(left);
        snprintf(value, sizeof(value), "%.*s", (int)left.len, left.data);
        break;
    }
    return value;
}

/* Three digits; what follows them is not a string. */
static int status_of(const char *digits)
{
    return (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
}

bool memory_http_take(net_memory *m, bool has_no_body, memory_answer *out)
{
    const char *bytes = (const char *)buf_head(&m->out);
    size_t len = buf_readable(&m->out);
    const char *end = len ? memmem(bytes, len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    assert_memory_equal(bytes, "HTTP/1.1 ", 9);
    *out = (memory_answer){.status = status_of(bytes + 9),
                           .head = slice_of(bytes, (size_t)(end - bytes) + 4)};
    size_t body_len = strtoul(memory_answer_header(out, "Content-Length"), NULL, 10);
    if (has_no_body)
        body_len = 0;
    if (len - out->head.len < body_len)
        return false;
    out->body = slice_of(bytes + out->head.len, body_len);
    out->is_last = strcmp(memory_answer_header(out, "Connection"), "close") == 0;
    /* Not buf_consume, which would let the next bytes overwrite what the slices point to. */
    m->out.pos += out->head.len + body_len;
    return true;
}

void memory_http_expect(net_memory *m, int status, const char *body)
{
    memory_answer answer;
    assert_true(memory_http_take(m, false, &answer));
    assert_int_equal(answer.status, status);
    if (!body)
        return;
    assert_int_equal(answer.body.len, strlen(body));
    assert_memory_equal(answer.body.data, body, strlen(body));
}

void memory_http_expect_end(net_memory *m)
{
    assert_int_equal(buf_readable(&m->out), 0);
    assert_true(m->is_shut_down || m->is_closed);
}

void memory_http_expect_refusal(net_memory *m, int status)
{
    memory_answer answer;
    assert_true(memory_http_take(m, false, &answer));
    assert_int_equal(answer.status, status);
    assert_true(answer.is_last);
    assert_string_equal(memory_answer_header(&answer, "Content-Type"), "application/json");
    char start[64];
    snprintf(start, sizeof(start), "{\"error\":{\"code\":%d,\"message\":\"", status);
    assert_true(slice_starts_with(answer.body, slice_str(start)));
    memory_http_expect_end(m);
    assert_int_equal(s->log_count, 1);
    s->log_count = 0;
    s->log[0] = '\0';
}
