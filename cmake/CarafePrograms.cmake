# Programs: examples/<name>/*.c -> examples/<name>, bench/<name>.c and bench/<name>/*.c ->
# bench/<name>.

option(CARAFE_BUILD_EXAMPLES "Build examples/" ${PROJECT_IS_TOP_LEVEL})
option(CARAFE_BUILD_BENCH "Build bench/" ${PROJECT_IS_TOP_LEVEL})

add_custom_target(examples)
add_custom_target(bench)

if(CARAFE_BUILD_EXAMPLES AND TARGET carafe)
    file(GLOB example_dirs CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/examples/*")
    foreach(dir ${example_dirs})
        get_filename_component(name "${dir}" NAME)
        file(GLOB sources CONFIGURE_DEPENDS "${dir}/*.c")
        if(NOT sources)
            continue()
        endif()
        add_executable(example_${name} ${sources})
        set_target_properties(example_${name} PROPERTIES
            OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/examples")
        target_compile_options(example_${name} PRIVATE ${carafe_common_warnings})
        # Where an example finds its own templates and static files when started from the build tree.
        target_compile_definitions(example_${name} PRIVATE _GNU_SOURCE EXAMPLE_DIR="${dir}")
        target_link_libraries(example_${name} PRIVATE carafe::carafe Threads::Threads)
        add_dependencies(examples example_${name})
    endforeach()
endif()

if(CARAFE_BUILD_BENCH)
    function(carafe_bench name)
        add_executable(bench_${name} ${ARGN})
        set_target_properties(bench_${name} PROPERTIES
            OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/bench")
        target_compile_definitions(bench_${name} PRIVATE _GNU_SOURCE)
        target_compile_options(bench_${name} PRIVATE ${carafe_common_warnings})
        target_link_libraries(bench_${name} PRIVATE Threads::Threads)
        add_dependencies(bench bench_${name})
    endfunction()

    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/*.c")
    foreach(source ${sources})
        get_filename_component(name "${source}" NAME_WE)
        carafe_bench(${name} "${source}")
    endforeach()

    file(GLOB bench_dirs CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/*")
    foreach(dir ${bench_dirs})
        file(GLOB sources CONFIGURE_DEPENDS "${dir}/*.c")
        if(sources)
            get_filename_component(name "${dir}" NAME)
            carafe_bench(${name} ${sources})
        endif()
    endforeach()
endif()
