# The whole suite once more on kernels that kept Halide's checks: what a wrong extent or stride does to the others
# without a word, these report.
set(LATHE_ASSERTING_TWINS host CACHE STRING "A row whose asserting twins are tested: host (avx2, or the best there is), a row, or none")
set(twin_row ${LATHE_ASSERTING_TWINS})
if(twin_row STREQUAL "host")
  list(GET rows 0 twin_row)
  if("avx2" IN_LIST rows)
    set(twin_row avx2)
  endif()
elseif(twin_row STREQUAL "none")
  return()
elseif(NOT twin_row IN_LIST rows)
  message(FATAL_ERROR "LATHE_ASSERTING_TWINS: '${twin_row}' is not built; expected host, none, or one of: ${rows}")
endif()

lathe_twins(${twin_row})
add_library(lathe_asserting STATIC
            $<FILTER:$<TARGET_OBJECTS:lathe_objects>,EXCLUDE,/registry[.]cpp[.]o$> ${PROJECT_SOURCE_DIR}/runtime/registry.cpp
            asserting/halide_errors.cpp ${LATHE_TWIN_OBJECTS})
target_include_directories(lathe_asserting SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe_asserting PRIVATE ${PROJECT_BINARY_DIR}/gen/asserting ${PROJECT_SOURCE_DIR}/runtime
                                                   ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(lathe_asserting PRIVATE lathe_fmt)
add_executable(lathe_tests_asserting $<TARGET_OBJECTS:lathe_test_objects> asserting/asserting_test.cpp)
target_include_directories(lathe_tests_asserting SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe_tests_asserting PRIVATE ${PROJECT_SOURCE_DIR}/runtime ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(lathe_tests_asserting PRIVATE lathe_asserting GTest::gtest fmt::fmt rapidcheck Threads::Threads)
# what concerns arguments, what numbers there are or many callers at once calls kernels with no other extents
add_test(NAME row/${twin_row}-asserting
         COMMAND lathe_tests_asserting --gtest_filter=-*Bounds*:*Causality*:*Crowd.*:*Poisoned*:*Refusals.*)
set_tests_properties(row/${twin_row}-asserting PROPERTIES ENVIRONMENT LATHE_TARGET=${twin_row} TIMEOUT 900
                                                       SKIP_RETURN_CODE 77)
