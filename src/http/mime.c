#include "http/mime.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct mime_type {
    char extension[12]; /* lower case */
    const char *type;
} mime_type;

/* Sorted by extension, for bsearch. */
static const mime_type MIME_TYPES[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"log", "text/plain; charset=utf-8"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"markdown", "text/markdown; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpeg", "video/mpeg"},
    {"msgpack", "application/vnd.msgpack"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"text", "text/plain; charset=utf-8"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "text/xml; charset=utf-8"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

static int compare_extension(const void *key, const void *entry)
{
    return strcmp(key, ((const mime_type *)entry)->extension);
}

/* The text behind the last dot of the last segment, which is not at its front (".env"). */
static slice extension_of(slice path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        at--;
    if (at < 2 || path.data[at - 1] != '.' || path.data[at - 2] == '/')
        return (slice){NULL, 0};
    return slice_of(path.data + at, path.len - at);
}

const char *http_mime_type(slice path)
{
    static const char UNKNOWN[] = "application/octet-stream";
    slice extension = extension_of(path);
    char key[sizeof(MIME_TYPES[0].extension)];
    if (extension.len >= sizeof(key))
        return UNKNOWN;
    for (size_t i = 0; i < extension.len; i++) {
        char c = extension.data[i];
        if (c == '\0')
            return UNKNOWN;
        key[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    key[extension.len] = '\0';
    const mime_type *found = bsearch(key, MIME_TYPES, sizeof(MIME_TYPES) / sizeof(MIME_TYPES[0]),
                                     sizeof(MIME_TYPES[0]), compare_extension);
    return found ? found->type : UNKNOWN;
}

static bool has_suffix(slice text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len >= len && slice_is_nocase(slice_of(text.data + text.len - len, len), suffix);
}

bool http_mime_is_compressible(slice type)
{
    static const char *const TYPES[] = {"application/json", "application/javascript",
                                        "application/wasm", "application/xml",
                                        "application/yaml", "font/otf",
                                        "font/ttf",         "image/bmp",
                                        "image/x-icon",     "application/vnd.ms-fontobject"};
    slice rest = type, name;
    if (!slice_split(&rest, ';', &name))
        return false;
    name = slice_trim(name);
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
        if (slice_is_nocase(name, TYPES[i]))
            return true;
    if (has_suffix(name, "+json") || has_suffix(name, "+xml"))
        return true;
    return name.len > 5 && slice_is_nocase(slice_of(name.data, 5), "text/");
}
