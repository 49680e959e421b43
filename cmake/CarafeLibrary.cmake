# The two products, made from the layers' objects.

if(NOT carafe_objects)
    message(STATUS "carafe: src/ has no sources yet, so there is no library to build")
    return()
endif()

add_library(carafe SHARED ${carafe_objects})
add_library(carafe::carafe ALIAS carafe)
add_dependencies(carafe ${carafe_object_targets})
set_target_properties(carafe PROPERTIES
    LINKER_LANGUAGE C
    VERSION ${PROJECT_VERSION}
    SOVERSION 0)
target_include_directories(carafe INTERFACE
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_link_libraries(carafe
    PUBLIC PkgConfig::JANSSON
    PRIVATE ${carafe_private_dependencies})
if(NOT CARAFE_SANITIZE)
    target_link_options(carafe PRIVATE -Wl,--no-undefined)
endif()

# The archive holds one object in which every hidden symbol has become local, so that short internal
# names (buf_init) cannot collide with a program's own. Sanitized code is archived as it is.
set(carafe_archive "${CMAKE_CURRENT_BINARY_DIR}/libcarafe.a")
set(carafe_merged_object "${CMAKE_CURRENT_BINARY_DIR}/carafe-merged.o")
if(CARAFE_SANITIZE)
    add_custom_command(OUTPUT "${carafe_archive}"
        COMMAND ${CMAKE_COMMAND} -E rm -f "${carafe_archive}"
        COMMAND ${CMAKE_AR} qcs "${carafe_archive}" ${carafe_objects} # q: layers share file names
        DEPENDS ${carafe_objects}
        COMMENT "Archiving libcarafe.a"
        COMMAND_EXPAND_LISTS VERBATIM)
else()
    add_custom_command(OUTPUT "${carafe_archive}"
        COMMAND ${CMAKE_COMMAND} -E rm -f "${carafe_archive}"
        COMMAND ${CMAKE_LINKER} -r -o "${carafe_merged_object}" ${carafe_objects}
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden "${carafe_merged_object}"
        COMMAND ${CMAKE_AR} rcs "${carafe_archive}" "${carafe_merged_object}"
        DEPENDS ${carafe_objects}
        BYPRODUCTS "${carafe_merged_object}"
        COMMENT "Merging libcarafe.a"
        COMMAND_EXPAND_LISTS VERBATIM)
endif()
add_custom_target(carafe_archive ALL DEPENDS "${carafe_archive}")
add_dependencies(carafe_archive ${carafe_object_targets})
