# Everything Carafe needs comes through pkg-config. Programs see Jansson, because the public headers
# include it; the other libraries stay an implementation detail.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

set(carafe_private_dependencies PkgConfig::UV PkgConfig::CRYPTO PkgConfig::ZLIB Threads::Threads)

# Debian ships libuv's archive under another name (libuv_a.a) with a pkg-config file of its own.
pkg_check_modules(UV_STATIC QUIET libuv-static)
if(UV_STATIC_FOUND)
    set(carafe_pc_requires_private "libuv-static, libcrypto, zlib")
else()
    set(carafe_pc_requires_private "libuv, libcrypto, zlib")
endif()
