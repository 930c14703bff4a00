# Everything, open: for the lathe command and for tests of what the C functions do not show.
add_library(lathe_open STATIC $<TARGET_OBJECTS:lathe_objects> ${LATHE_KERNEL_OBJECTS})
set_target_properties(lathe_open PROPERTIES LINKER_LANGUAGE CXX)
target_include_directories(lathe_open PUBLIC ${PROJECT_SOURCE_DIR}/runtime)
target_link_libraries(lathe_open PRIVATE Threads::Threads)
if(LATHE_SANITIZE)
  if(LATHE_SANITIZE STREQUAL "thread")
    target_sources(lathe_open PRIVATE ${PROJECT_SOURCE_DIR}/tests/sanitize/tsan_names.c)
  endif()
  add_library(lathe_static ALIAS lathe_open)
  return()
endif()

# The two libraries that are installed. What they let out is the list in runtime/exports.map: a program may hold a Halide,
# an fmt or a `lathe` namespace of its own beside them.
set(exports ${PROJECT_SOURCE_DIR}/runtime/exports.map)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${exports})
file(READ ${exports} text)
string(REGEX MATCHALL "lathe_[a-z_]+" names "${text}")
list(JOIN names "\n" lines)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/exports.txt CONTENT "${lines}\n" @ONLY)

# A static library is its objects, and whatever those may call of each other anyone may: so it is one object, with all
# names but those made local. Without --force-group-allocation inline functions of C++ would stay open to others' copies, and
# unless they are made weak first so would GCC's unique symbols.
set(sealed ${PROJECT_BINARY_DIR}/gen/lathe.o)
add_custom_command(
  OUTPUT ${sealed}
  COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -Wl,--force-group-allocation -o ${sealed}.open $<TARGET_OBJECTS:lathe_objects>
          ${LATHE_KERNEL_OBJECTS}
  COMMAND ${CMAKE_OBJCOPY} --wildcard --weaken-symbol=_Z* ${sealed}.open
  COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${PROJECT_BINARY_DIR}/gen/exports.txt ${sealed}.open ${sealed}
  COMMAND ${CMAKE_COMMAND} -E rm ${sealed}.open
  DEPENDS lathe_objects $<TARGET_OBJECTS:lathe_objects> ${LATHE_KERNEL_OBJECTS} ${PROJECT_BINARY_DIR}/gen/exports.txt
  COMMENT "lathe.o"
  COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${sealed} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)

add_library(lathe_static STATIC ${sealed})
add_library(lathe_shared SHARED $<TARGET_OBJECTS:lathe_objects> ${LATHE_KERNEL_OBJECTS})
foreach(kind static shared)
  set_target_properties(lathe_${kind} PROPERTIES OUTPUT_NAME lathe EXPORT_NAME ${kind} LINKER_LANGUAGE CXX
                                                 VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_include_directories(lathe_${kind} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(lathe_${kind} PRIVATE Threads::Threads)
endforeach()
target_link_options(lathe_shared PRIVATE -static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--version-script=${exports})
set_property(TARGET lathe_shared APPEND PROPERTY LINK_DEPENDS ${exports})
