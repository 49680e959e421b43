# Tests for ctest:
#   tests/unit/<layer>/test_<name>.c -> unit_<layer>_<name>, linked with its layer and those below
#   tests/wire/test_<name>.c         -> wire_<name>, linked with all layers
#   fuzz/fuzz_<name>.c               -> fuzz_<name>, which replays fuzz/corpus/<name>/
# and for tests/e2e: tests/e2e/server/*.c -> tests/e2e_server.
# tests/support/*.c, if any, is linked to all of them.

pkg_check_modules(CMOCKA QUIET IMPORTED_TARGET cmocka)
if(NOT DEFINED CARAFE_BUILD_TESTS)
    if(PROJECT_IS_TOP_LEVEL AND CMOCKA_FOUND)
        set(carafe_tests ON)
    else()
        set(carafe_tests OFF)
        message(STATUS "carafe: no cmocka (or not the top-level project), tests are not built")
    endif()
else()
    set(carafe_tests ${CARAFE_BUILD_TESTS})
    if(carafe_tests AND NOT CMOCKA_FOUND)
        message(FATAL_ERROR "carafe: the tests need cmocka, which pkg-config does not find")
    endif()
endif()
if(NOT carafe_tests)
    return()
endif()

enable_testing()

set(carafe_test_timeout 60)
if(CARAFE_SANITIZE)
    set(carafe_test_timeout 180)
endif()

set(carafe_all_layers ${carafe_layers})
list(TRANSFORM carafe_all_layers PREPEND carafe_)
list(REVERSE carafe_all_layers)

# carafe_test_program(<target> <libraries...>): what every test has in common.
function(carafe_test_program target)
    target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/tests/support")
    target_compile_definitions(${target} PRIVATE
        _GNU_SOURCE CARAFE_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
    target_compile_options(${target} PRIVATE ${carafe_common_warnings} -UNDEBUG)
    target_link_libraries(${target} PRIVATE ${ARGN} m)
endfunction()

# carafe_cmocka_test(<target> <label> <source> <libraries...>)
function(carafe_cmocka_test target label source)
    add_executable(${target} "${source}")
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
    carafe_test_program(${target} ${carafe_test_support} ${ARGN} PkgConfig::CMOCKA)
    add_test(NAME ${target} COMMAND ${target})
    set_tests_properties(${target} PROPERTIES
        LABELS ${label}
        TIMEOUT ${carafe_test_timeout}
        ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=TAP")
endfunction()

file(GLOB support_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/tests/support/*.c")
set(carafe_test_support "")
if(support_sources)
    # Headers of all layers, but no link to them: a unit test of a low layer must not pull in a higher
    # one. A member that needs a layer is only used by tests which link that layer.
    add_library(carafe_test_support STATIC ${support_sources})
    target_include_directories(carafe_test_support
        PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}/tests/support"
        PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}/include"
            ${JANSSON_INCLUDE_DIRS} ${UV_INCLUDE_DIRS} ${CMOCKA_INCLUDE_DIRS})
    target_compile_definitions(carafe_test_support PRIVATE _GNU_SOURCE)
    target_compile_options(carafe_test_support PRIVATE ${carafe_common_warnings} -UNDEBUG)
    set(carafe_test_support carafe_test_support)
endif()

if(NOT CARAFE_FUZZ)
    foreach(layer ${carafe_layers})
        file(GLOB sources CONFIGURE_DEPENDS
            "${CMAKE_CURRENT_SOURCE_DIR}/tests/unit/${layer}/test_*.c")
        foreach(source ${sources})
            get_filename_component(name "${source}" NAME_WE)
            string(REGEX REPLACE "^test_" "" name "${name}")
            carafe_cmocka_test(unit_${layer}_${name} unit "${source}" carafe_${layer})
        endforeach()
    endforeach()

    # The same tests for the switch of machines that have no assembly of their own.
    carafe_cmocka_test(unit_net_coro_ucontext unit
        "${CMAKE_CURRENT_SOURCE_DIR}/tests/unit/net/test_coro.c" carafe_base)
    target_sources(unit_net_coro_ucontext PRIVATE src/net/coro.c src/net/coro_ucontext.c)
    target_compile_definitions(unit_net_coro_ucontext PRIVATE CARAFE_CORO_UCONTEXT)
    target_include_directories(unit_net_coro_ucontext PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src")

    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/tests/wire/test_*.c")
    foreach(source ${sources})
        get_filename_component(name "${source}" NAME_WE)
        string(REGEX REPLACE "^test_" "" name "${name}")
        carafe_cmocka_test(wire_${name} wire "${source}" ${carafe_all_layers})
    endforeach()

    # What tests/e2e/run.mjs drives with real clients; a program like a user's.
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/tests/e2e/server/*.c")
    if(sources AND TARGET carafe)
        add_executable(e2e_server ${sources})
        set_target_properties(e2e_server PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/tests")
        target_compile_definitions(e2e_server PRIVATE _GNU_SOURCE)
        target_compile_options(e2e_server PRIVATE ${carafe_common_warnings})
        target_link_libraries(e2e_server PRIVATE carafe::carafe Threads::Threads)
    endif()
endif()

# Without libFuzzer a fuzz target is a plain program that feeds itself the corpus.
add_custom_target(fuzz_targets)
file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c")
foreach(source ${sources})
    get_filename_component(target "${source}" NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name "${target}")
    set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name}")
    if(CARAFE_FUZZ)
        add_executable(${target} "${source}")
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        set(replay_arguments -runs=0)
    else()
        add_executable(${target} "${source}" "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/replay_main.c")
        set(replay_arguments "")
    endif()
    if(IS_DIRECTORY "${corpus}")
        list(APPEND replay_arguments "${corpus}")
    endif()
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/fuzz")
    carafe_test_program(${target} ${carafe_all_layers})
    add_test(NAME ${target} COMMAND ${target} ${replay_arguments})
    set_tests_properties(${target} PROPERTIES LABELS fuzz TIMEOUT ${carafe_test_timeout})
    add_dependencies(fuzz_targets ${target})
endforeach()
