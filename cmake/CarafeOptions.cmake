# Switches and compiler flags.

option(CARAFE_WERROR "Treat warnings as errors (never in sanitized builds, see below)" ON)
option(CARAFE_FUZZ "Build fuzz targets with libFuzzer (needs clang)" OFF)
set(CARAFE_SANITIZE "" CACHE STRING
    "Sanitizers for everything built here: \"address,undefined\" or \"thread\"")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Asserts guard invariants and stay on in every build type.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
    string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # src/ uses GNU inline assembly and _GNU_SOURCE interfaces
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(carafe_common_warnings -Wall -Wextra -Wshadow -Wstrict-prototypes)
set(carafe_source_warnings ${carafe_common_warnings} -Wconversion -Wmissing-prototypes)

if(CARAFE_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "CARAFE_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang")
    endif()
    if(NOT CARAFE_SANITIZE)
        set(CARAFE_SANITIZE "address,undefined")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(CARAFE_SANITIZE)
    add_compile_options(-fsanitize=${CARAFE_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${CARAFE_SANITIZE})
endif()

# Instrumented code makes gcc's flow analysis report what is not there, so sanitized builds only warn.
if(CARAFE_WERROR AND NOT CARAFE_SANITIZE)
    list(APPEND carafe_common_warnings -Werror)
    list(APPEND carafe_source_warnings -Werror)
endif()
