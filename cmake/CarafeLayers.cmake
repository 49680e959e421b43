# One static library per layer, carafe_<layer>, each linked to the layers it may include.
# tools/check_layers holds the same table and refuses every other #include.

set(carafe_layers "")  # bottom-up
set(carafe_objects "") # what the products are made of
set(carafe_object_targets "")

# carafe_layer(<name> [lower layers...])
macro(carafe_layer name)
    file(GLOB layer_sources CONFIGURE_DEPENDS
        "${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.c"
        "${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.S")
    set(layer_links ${ARGN})
    list(TRANSFORM layer_links PREPEND carafe_)
    if(layer_sources)
        add_library(carafe_${name} STATIC ${layer_sources})
        set_target_properties(carafe_${name} PROPERTIES C_VISIBILITY_PRESET hidden)
        target_compile_definitions(carafe_${name} PUBLIC _GNU_SOURCE)
        target_compile_definitions(carafe_${name} PRIVATE
            CARAFE_VERSION_STRING="${PROJECT_VERSION}")
        target_compile_options(carafe_${name} PRIVATE
            "$<$<COMPILE_LANGUAGE:C>:${carafe_source_warnings}>"
            "$<$<COMPILE_LANGUAGE:ASM>:-Wa,--noexecstack>")
        set(layer_scope PUBLIC)
        list(APPEND carafe_objects $<TARGET_OBJECTS:carafe_${name}>)
        list(APPEND carafe_object_targets carafe_${name})
    else()
        add_library(carafe_${name} INTERFACE)
        set(layer_scope INTERFACE)
    endif()
    target_include_directories(carafe_${name} ${layer_scope}
        "${CMAKE_CURRENT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}/include")
    target_link_libraries(carafe_${name} ${layer_scope}
        ${layer_links} PkgConfig::JANSSON ${carafe_private_dependencies})
    list(APPEND carafe_layers ${name})
endmacro()

carafe_layer(base)
carafe_layer(net base)
carafe_layer(http net base)
carafe_layer(ws http net base)
carafe_layer(app http net base)
carafe_layer(engineio app ws http net base)
carafe_layer(socketio engineio app ws http net base)
