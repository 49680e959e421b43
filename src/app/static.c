/* Files as answers: carafe_static and carafe_send_file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/core.h"
#include "app/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/mime.h"
#include "http/url.h"

/* A folder that is served; fixed once it is made. */
struct static_folder {
    static_folder *next;
    char *dir; /* absolute */
};

static const char INDEX_NAME[] = "index.html";

/* ---- a file as the body ---- */

/* Size, time and place change whenever the content does, unless somebody takes pains. */
static int make_etag(carafe_request *req, const struct stat *st, slice *out)
{
    char text[80];
    int len = snprintf(text, sizeof(text), "\"%llx%08lx-%llx-%llx\"",
                       (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
                       (unsigned long long)st->st_size, (unsigned long long)st->st_ino);
    char *copy = arena_dup(&req->arena, slice_of(text, (size_t)len));
    if (!copy)
        return CARAFE_ERR_NOMEM;
    *out = slice_of(copy, (size_t)len);
    return 0;
}

int response_set_file(carafe_request *req, int fd, const char *name)
{
    struct stat st;
    slice etag;
    int error = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? 0 : CARAFE_ERR_FILE;
    if (error == 0)
        error = make_etag(req, &st, &etag);
    if (error == 0)
        error = response_set_header(req, SLICE_LITERAL("Content-Type"),
                                    slice_str(http_mime_type(slice_str(name))));
    if (error < 0) {
        close(fd);
        return error;
    }
    app_response *response = &req->response;
    buf_deinit(&response->body);
    if (response->fd >= 0)
        close(response->fd);
    response->kind = BODY_FILE;
    response->is_answered = true;
    response->fd = fd;
    response->file_size = (uint64_t)st.st_size;
    response->file_mtime_s = st.st_mtim.tv_sec;
    response->etag = etag;
    return 0;
}

int carafe_send_file(carafe_request *req, const char *path)
{
    request_check(req);
    if (!req->http)
        return CARAFE_ERR_STATE;
    if (!path)
        return CARAFE_ERR_ARGUMENT;
    /* O_NONBLOCK: the open of a FIFO would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? CARAFE_ERR_FILE : response_set_file(req, fd, path);
}

int app_send_file(carafe_app *app, http_request *http, const char *dir, const char *name)
{
    int fd = folder_open(dir, name);
    if (fd < 0)
        return fd;
    carafe_request *req = app_request_new(app, http);
    if (!req) {
        close(fd);
        return CARAFE_ERR_NOMEM;
    }
    int error = response_set_file(req, fd, name);
    if (error == 0)
        response_send(req);
    app_request_free(req);
    return error;
}

/* ---- folders ---- */

static bool is_dir(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Links in a page are relative to the folder its URL seems to be in. */
static int redirect_to_slash(carafe_request *req)
{
    slice path = req->sent_path, query = req->sent_query;
    char *location = arena_alloc(&req->arena, path.len + query.len + 3);
    if (!location)
        return CARAFE_ERR_NOMEM;
    snprintf(location, path.len + query.len + 3, "%.*s/%s%.*s", (int)path.len, path.data,
             query.data ? "?" : "", (int)query.len, query.data ? query.data : "");
    return carafe_redirect(req, location, 308);
}

/* Answers with `name` in the folder; `is_index_only` when a page of a folder was asked for without
 * the slash at its end. */
static int send_index(carafe_request *req, const char *dir, const char *name)
{
    char index[PATH_MAX];
    size_t len = strlen(name);
    bool is_bare = len > 0 && name[len - 1] != '/';
    int written = snprintf(index, sizeof(index), "%s%s%s", name, is_bare ? "/" : "", INDEX_NAME);
    if (written < 0 || (size_t)written >= sizeof(index))
        return CARAFE_ERR_FILE;
    int fd = folder_open(dir, index);
    if (fd < 0)
        return fd;
    if (!is_bare)
        return response_set_file(req, fd, index);
    close(fd);
    return redirect_to_slash(req);
}

static int static_view(carafe_request *req, void *arg)
{
    const static_folder *folder = arg;
    slice rest = route_match_arg(&req->match, "path");
    char name[PATH_MAX];
    /* The slash in front of the rest belongs to the rule: one more makes an empty segment. */
    bool is_refused =
        (rest.len && rest.data[0] == '/') || http_path_safe(rest, name, sizeof(name)) < 0;
    if (is_refused)
        return 404;
    size_t len = strlen(name);
    if (len == 0 || name[len - 1] == '/')
        return send_index(req, folder->dir, name);
    int fd = folder_open(folder->dir, name);
    if (fd < 0)
        return fd;
    if (!is_dir(fd))
        return response_set_file(req, fd, name);
    close(fd);
    return send_index(req, folder->dir, name);
}

static static_folder *folder_new(const char *dir)
{
    char *real = realpath(dir, NULL);
    static_folder *folder = mem_zalloc(sizeof(*folder));
    if (real && folder)
        folder->dir = mem_strdup(real);
    free(real);
    if (folder && folder->dir)
        return folder;
    mem_free(folder);
    return NULL;
}

static void folder_free(static_folder *folder)
{
    if (!folder)
        return;
    mem_free(folder->dir);
    mem_free(folder);
}

void static_folders_free(carafe_app *app)
{
    while (app->folders) {
        static_folder *next = app->folders->next;
        folder_free(app->folders);
        app->folders = next;
    }
}

/* "/static" and "/static/" become "/static/<path:path>". */
static int make_rule(const char *url, char rule[ROUTE_RULE_SIZE_MAX])
{
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    int written = snprintf(rule, ROUTE_RULE_SIZE_MAX, "%.*s/<path:path>", (int)len, url);
    return written < 0 || written >= ROUTE_RULE_SIZE_MAX ? CARAFE_ERR_ARGUMENT : 0;
}

int carafe_static(carafe_app *app, const char *url, const char *dir)
{
    app_check(app);
    TRY(app_check_idle(app, "a folder"));
    char rule[ROUTE_RULE_SIZE_MAX];
    if (!url || url[0] != '/' || strchr(url, '<') || !dir || make_rule(url, rule) < 0) {
        log_line(LOG_APP, LOG_ERROR, "carafe_static: \"%s\" is no URL that begins with a slash",
                 url ? url : "");
        return CARAFE_ERR_ARGUMENT;
    }
    struct stat st;
    int error = stat(dir, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (error) {
        log_line(LOG_APP, LOG_ERROR, "carafe_static: %s: %s", dir, strerror(error));
        return CARAFE_ERR_FILE;
    }
    static_folder *folder = folder_new(dir);
    if (!folder)
        return CARAFE_ERR_NOMEM;
    const char *problem;
    route_options options = { .rule = rule,
                              .methods = 1u << HTTP_METHOD_GET,
                              .view = static_view,
                              .arg = folder,
                              .endpoint = "static",
                              .may_be_empty = true };
    error = router_add(&app->routes, &options, &problem);
    if (error < 0) {
        if (problem)
            log_line(LOG_APP, LOG_ERROR, "carafe_static: \"%s\": %s", url, problem);
        folder_free(folder);
        return error;
    }
    folder->next = app->folders;
    app->folders = folder;
    return 0;
}
