# The tuner without its command line, for the lathe command and for its tests.
file(GLOB tuner_sources CONFIGURE_DEPENDS autotune/*.cpp)
add_library(lathe_tuner STATIC ${tuner_sources} schedules/targets.cpp schedules/vectors.cpp)
target_link_libraries(lathe_tuner PUBLIC fmt::fmt nlohmann_json::nlohmann_json Threads::Threads)
target_compile_options(lathe_tuner PRIVATE -O1)
lathe_together(lathe_tuner)
lathe_precompile(lathe_tuner fmt/format.h fmt/ranges.h nlohmann/json.hpp)

# The library but for its kernels and their registry: the tuner links it with those of a configuration, so that whole
# operators can be judged.
add_library(lathe_judged OBJECT autotune/judged/open.cpp bench/cases.cpp bench/lathe_call.cpp bench/problem.cpp)
set_target_properties(lathe_judged PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_include_directories(lathe_judged PRIVATE runtime)
target_link_libraries(lathe_judged PRIVATE fmt::fmt-header-only nlohmann_json::nlohmann_json)
target_compile_options(lathe_judged PRIVATE -O2)
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/gen/judged_objects.txt
     CONTENT "$<JOIN:$<TARGET_OBJECTS:lathe_judged>,\n>\n$<JOIN:$<FILTER:$<TARGET_OBJECTS:lathe_objects>,EXCLUDE,/registry[.]cpp[.]o$>,\n>\n")
