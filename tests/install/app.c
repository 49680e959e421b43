/* A program against an installed Carafe: starts a server on a free port, asks it for a page and
 * stops. */
#include <carafe.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int hello_page(carafe_request *req, void *arg)
{
    (void)arg;
    return carafe_text(req, "hello from carafe");
}

static int on_connect(sio_ctx *ctx, void *arg)
{
    (void)arg;
    return sio_emit(ctx, "welcome", json_string("hello"));
}

/* Sends `request` to `port` and reads until the server closes, into `answer` as a string. */
static int ask(int port, const char *request, char *answer, size_t answer_size)
{
    struct sockaddr_in address;
    struct timeval limit = {.tv_sec = 5};
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        perror("connect");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (write(fd, request, strlen(request)) != (ssize_t)strlen(request)) {
        perror("write");
        close(fd);
        return -1;
    }
    while (len + 1 < answer_size) {
        ssize_t n = read(fd, answer + len, answer_size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    answer[len] = '\0';
    close(fd);
    return 0;
}

int main(void)
{
    char answer[4096] = "";
    carafe_app *app = carafe_app_new("install-test");
    carafe_route(app, "/", hello_page);
    sio_server *sio = sio_server_new(app);
    sio_server_on(sio, "connect", on_connect);

    if (sio_server_start(sio, .host = "127.0.0.1", .port = SIO_PORT_ANY) != 0) {
        fprintf(stderr, "the server does not start\n");
        return 1;
    }
    int asked =
        ask(sio_server_port(sio), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            answer, sizeof(answer));
    sio_server_stop(sio);
    sio_server_wait(sio);
    sio_server_free(sio);
    carafe_app_free(app);

    if (asked != 0 || strncmp(answer, "HTTP/1.1 200 ", 13) != 0 ||
        !strstr(answer, "hello from carafe")) {
        fprintf(stderr, "unexpected answer: \"%s\"\n", answer);
        return 1;
    }
    printf("served a page\n");
    return 0;
}
