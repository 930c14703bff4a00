# Memory refused, counted and stretched: a program of its own, since it replaces operator new.
file(GLOB memory_sources CONFIGURE_DEPENDS memory/*.cpp)
add_executable(lathe_memory_tests ${memory_sources}
               "$<FILTER:$<TARGET_OBJECTS:lathe_test_objects>,INCLUDE,/(support|reference)/>")
target_include_directories(lathe_memory_tests PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(lathe_memory_tests PRIVATE lathe_static GTest::gtest fmt::fmt
                                                 nlohmann_json::nlohmann_json Threads::Threads ${CMAKE_DL_LIBS})
set(slow "Tokens.*")
add_test(NAME memory COMMAND lathe_memory_tests --gtest_filter=-${slow})
add_test(NAME memory/slow COMMAND lathe_memory_tests --gtest_filter=${slow})
set_tests_properties(memory/slow PROPERTIES LABELS all TIMEOUT 900)
