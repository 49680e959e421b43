# Headers, both libraries, carafe.pc and the CMake package. Paths inside the installed files are
# relative to where they lie, so the tree may be moved.

if(NOT TARGET carafe)
    return()
endif()

include(CMakePackageConfigHelpers)

install(TARGETS carafe EXPORT carafe-targets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${carafe_archive}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")

install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/include/carafe.h"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/include/carafe/"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/carafe"
    FILES_MATCHING PATTERN "*.h")

# pkg-config
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(carafe_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "/prefix/${pc_dir}" "/prefix")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(carafe_pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(dir LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
        set(carafe_pc_${dir} "${CMAKE_INSTALL_${dir}}")
    else()
        set(carafe_pc_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
    endif()
endforeach()
configure_file("${CMAKE_CURRENT_SOURCE_DIR}/cmake/carafe.pc.in"
    "${CMAKE_CURRENT_BINARY_DIR}/carafe.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/carafe.pc" DESTINATION "${pc_dir}")

# find_package(carafe)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/carafe")
string(REPLACE ", " " " carafe_package_private "${carafe_pc_requires_private}")
configure_package_config_file("${CMAKE_CURRENT_SOURCE_DIR}/cmake/carafe-config.cmake.in"
    "${CMAKE_CURRENT_BINARY_DIR}/carafe-config.cmake"
    INSTALL_DESTINATION "${package_dir}"
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/carafe-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/carafe-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/carafe-config-version.cmake"
    DESTINATION "${package_dir}")
install(EXPORT carafe-targets NAMESPACE carafe:: DESTINATION "${package_dir}")
