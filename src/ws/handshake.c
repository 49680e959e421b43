#include "ws/handshake.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/base64.h"

/* RFC 6455 1.3: fixed by the protocol. */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum { SHA1_SIZE = 20 };

/* True when the comma-separated list has the token; ASCII case is ignored. */
static bool has_token(slice list, const char *token)
{
    slice part;
    while (slice_split(&list, ',', &part)) {
        if (slice_is_nocase(slice_trim(part), token))
            return true;
    }
    return false;
}

/* RFC 6455 4.2.1: base64 of 16 bytes. The two last bits of the 22nd character are not looked at, as
 * no client was ever refused for them. */
static bool is_key(slice key)
{
    if (key.len != WS_KEY_LEN || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.data[i];
        bool is_in_alphabet = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                              (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!is_in_alphabet)
            return false;
    }
    return true;
}

bool ws_handshake_is_wanted(slice upgrade)
{
    return has_token(upgrade, "websocket");
}

int ws_handshake_check(const ws_handshake *request, const char **error)
{
    /* RFC 6455 4.2.1, in its order. Methods are case-sensitive. */
    if (!slice_is(request->method, "GET")) {
        *error = "WebSocket handshake: the method is not GET";
        return 400;
    }
    if (request->http_major != 1 || request->http_minor < 1) {
        *error = "WebSocket handshake: HTTP/1.1 is needed";
        return 400;
    }
    if (!ws_handshake_is_wanted(request->upgrade)) {
        *error = "WebSocket handshake: Upgrade does not name websocket";
        return 400;
    }
    if (!has_token(request->connection, "upgrade")) {
        *error = "WebSocket handshake: Connection does not name upgrade";
        return 400;
    }
    /* RFC 6455 4.4: another version is answered with those that would do. Before the key, as other
     * versions may have other keys. */
    slice version = slice_trim(request->version);
    if (version.len && !slice_is(version, WS_VERSIONS_SUPPORTED)) {
        *error = "WebSocket handshake: unsupported Sec-WebSocket-Version";
        return 426;
    }
    if (version.len == 0) {
        *error = "WebSocket handshake: no Sec-WebSocket-Version";
        return 400;
    }
    if (!is_key(slice_trim(request->key))) {
        *error = "WebSocket handshake: missing or malformed Sec-WebSocket-Key";
        return 400;
    }
    return 101;
}

int ws_accept_key(slice key, char dst[WS_ACCEPT_LEN + 1])
{
    char text[WS_KEY_LEN + sizeof(ACCEPT_GUID) - 1];
    unsigned char digest[SHA1_SIZE];
    unsigned digest_len = 0;
    key = slice_trim(key);
    if (key.len != WS_KEY_LEN)
        return CARAFE_ERR_BAD_HANDSHAKE;
    memcpy(text, key.data, WS_KEY_LEN);
    memcpy(text + WS_KEY_LEN, ACCEPT_GUID, sizeof(ACCEPT_GUID) - 1);
    if (EVP_Digest(text, sizeof(text), digest, &digest_len, EVP_sha1(), NULL) != 1)
        return CARAFE_ERR_SYSTEM;
    dst[base64_encode(digest, sizeof(digest), dst)] = '\0';
    return 0;
}

const char *ws_subprotocol_choose(slice offered, const char *const *supported, size_t count)
{
    size_t best = count;
    slice part;
    /* One pass over what the peer sent; only names better than the best so far are compared. */
    while (best > 0 && slice_split(&offered, ',', &part)) {
        part = slice_trim(part);
        for (size_t i = 0; part.len && i < best; i++) {
            if (slice_is(part, supported[i]))
                best = i;
        }
    }
    return best < count ? supported[best] : NULL;
}
