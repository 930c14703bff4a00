# The suite for another architecture, run by the emulator that the toolchain names. Debian has the sources of googletest
# for it (package googletest); rapidcheck it has only compiled, so the fuzzed tests stay behind.
find_path(LATHE_GTEST_SOURCES googletest/src/gtest-all.cc PATHS /usr/src/googletest REQUIRED)
set(BUILD_GMOCK OFF)
set(INSTALL_GTEST OFF)
add_subdirectory(${LATHE_GTEST_SOURCES} googletest EXCLUDE_FROM_ALL)
find_package(nlohmann_json REQUIRED)
file(GLOB test_sources CONFIGURE_DEPENDS *_test.cpp header_c11.c reference/*.cpp support/*.cpp)
list(FILTER test_sources EXCLUDE REGEX "fuzz_test")
add_executable(lathe_tests ${test_sources})
target_include_directories(lathe_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(lathe_tests PRIVATE lathe_static gtest_main fmt::fmt-header-only nlohmann_json::nlohmann_json
                                          Threads::Threads)
foreach(row IN LISTS rows)
  add_test(NAME row/${row} COMMAND lathe_tests)
  set_tests_properties(row/${row} PROPERTIES ENVIRONMENT LATHE_TARGET=${row} TIMEOUT 900)
endforeach()
