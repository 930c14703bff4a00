# The version stands in runtime/lathe.h, where programs read it, and nowhere else.
set(lathe_version)
foreach(part MAJOR MINOR PATCH)
  file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/runtime/lathe.h line REGEX "^#define LATHE_VERSION_${part} [0-9]+$")
  string(REGEX MATCH "[0-9]+$" number "${line}")
  list(APPEND lathe_version ${number})
endforeach()
list(JOIN lathe_version . lathe_version)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/runtime/lathe.h)
