# The lathe command: cli/ and bench/ in one program, against the open parts of the library.
find_package(benchmark REQUIRED)
find_package(nlohmann_json REQUIRED)
include(lathe_tuner)
file(GLOB tool_sources CONFIGURE_DEPENDS cli/*.cpp bench/*.cpp autotune/command/*.cpp)
add_executable(lathe ${tool_sources})
target_include_directories(lathe PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(lathe PRIVATE lathe_tuner lathe_open benchmark::benchmark CLI11::CLI11 fmt::fmt
                                    nlohmann_json::nlohmann_json Threads::Threads ${CMAKE_DL_LIBS})
# it waits for others, but for what is timed: the machine's peaks
target_compile_options(lathe PRIVATE -O1)
set_source_files_properties(bench/peaks.cpp PROPERTIES COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON)
lathe_together(lathe)
lathe_precompile(lathe CLI/CLI.hpp fmt/format.h nlohmann/json.hpp)
target_compile_definitions(lathe PRIVATE LATHE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LATHE_LINKER="${CMAKE_C_COMPILER}"
                                         LATHE_COMPILER="${CMAKE_CXX_COMPILER}")
# Peers load lathe beside them: through this library, by name.
add_dependencies(lathe lathe_shared lathe-gen lathe-runner lathe_judged)
# The wrapper's verbs as targets, for `cmake --workflow --preset demo` and the like; list, describe and show take words.
foreach(verb demo bench doctor)
  add_custom_target(${verb} COMMAND lathe ${verb} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} DEPENDS lathe USES_TERMINAL VERBATIM)
endforeach()
