# What `cmake --install` lays down: both libraries, the header, the CMake package, the pkg-config file, the licence.
# Nothing in it names the prefix, so that an installed tree may be moved.
add_library(lathe::static ALIAS lathe_static)
add_library(lathe::shared ALIAS lathe_shared)
# A program in C links with the C compiler, which knows nothing of the C++ runtime inside the static library.
target_link_libraries(lathe_static INTERFACE $<INSTALL_INTERFACE:stdc++> $<INSTALL_INTERFACE:m>)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/lathe)
install(TARGETS lathe_shared EXPORT lathe LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS lathe_static EXPORT lathe ARCHIVE COMPONENT dev)
install(FILES runtime/lathe.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(EXPORT lathe NAMESPACE lathe:: FILE lathe-targets.cmake DESTINATION ${package_directory} COMPONENT dev)
configure_package_config_file(cmake/lathe-config.cmake.in lathe-config.cmake INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file(lathe-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lathe-config.cmake ${PROJECT_BINARY_DIR}/lathe-config-version.cmake
        DESTINATION ${package_directory} COMPONENT dev)

# Distributions may ask for absolute folders, which then stand as they are; others count from the file's own place.
foreach(folder LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${folder}})
    set(pkgconfig_${folder} ${CMAKE_INSTALL_${folder}})
  else()
    set(pkgconfig_${folder} \${prefix}/${CMAKE_INSTALL_${folder}})
  endif()
endforeach()
file(RELATIVE_PATH pkgconfig_up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pkgconfig_up ${pkgconfig_up})
configure_file(cmake/lathe.pc.in lathe.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lathe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
