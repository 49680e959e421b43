/* connect: nothing but handshakes; run_connect does the work. */
#include "scenarios.h"

static void on_message(run *r, client *c, const char *text, size_t len)
{
    run_error(r, ERROR_SUPERFLUOUS, 1, "client %u asked for nothing and got %.*s", c->index,
              (int)(len < 60 ? len : 60), text);
}

const scenario connect_scenario = {
    .name = "connect",
    .event = "", /* every event is ignored */
    .counted = "connections",
    .on_message = on_message,
};
