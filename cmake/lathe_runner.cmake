# What calls the candidates: small, so that it can be built for any machine that is to be measured.
find_package(nlohmann_json REQUIRED)
file(GLOB runner_sources CONFIGURE_DEPENDS autotune/runner/*.cpp)
file(GLOB oracles CONFIGURE_DEPENDS tests/reference/*.cpp)
# each is written as if there were no other: they share names. They and what measures are what takes time.
set_source_files_properties(${oracles} bench/pairs.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON SKIP_PRECOMPILE_HEADERS ON
                                                                  COMPILE_OPTIONS -O2)
add_executable(lathe-runner ${runner_sources} ${oracles} autotune/statistics.cpp bench/cases.cpp bench/check.cpp bench/pairs.cpp
                            bench/problem.cpp tests/support/guarded.cpp)
target_include_directories(lathe-runner SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe-runner PRIVATE runtime tests)
target_link_libraries(lathe-runner PRIVATE lathe_open fmt::fmt-header-only nlohmann_json::nlohmann_json ${CMAKE_DL_LIBS})
target_compile_options(lathe-runner PRIVATE -O1)
lathe_together(lathe-runner)
lathe_precompile(lathe-runner fmt/format.h nlohmann/json.hpp)
