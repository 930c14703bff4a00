# The C functions with tensors on a device: the suites of rows, as far as devices compute.

# lathe_calls(ROW NAME FILTERS...): a program whose registry has the row, in the caller's `objects` and `directory`, besides
# those of the library, and a test of it, of these suites or of all that there are. lathe_suites(OUT FILTERS...) is how the
# program is told.
string(CONCAT calls_of_devices "Device*:Ops/States*:Ops/Exact*:Ops/Packed*:*Mixture*:Ops/Causality*:Ops/Poisoned*:Maps/*:Types/*:Extents/*"
                               ":Ops/Backward.*:Ops/GradientsOfMaps.*:Steps.*:*/Delta.*:Lessons.Fla215*:Snapshots.*:Ops/Stabilised*:StabilisedRange.*:Momentum.OfNothing*:Momentum.IsWhat*:Momentum.IsTheDifference*:AdaptiveMomentum.*:MomentumTraining.*:*NotWhenNothingIsSpoiled/*_projected")
# what devices do not compute yet, and what they lose of a momentum through many tokens: docs/gpu.md
set(calls_of_hosts "Ops/Backward.Shapes/causal_momentum:*RefusesWhatItHasNot:*NormalisesHeadsThatShareKeys")
function(lathe_suites out)
  set(suites ${calls_of_devices})
  if(ARGN)
    list(JOIN ARGN ":" suites)
  endif()
  set(${out} --gtest_filter=${suites}-${calls_of_hosts} PARENT_SCOPE)
endfunction()
function(lathe_calls row name)
  string(REGEX REPLACE "_.*" "" kind ${row})
  if(NOT TARGET lathe_calls_${kind})
    file(CONFIGURE OUTPUT ${directory}/with_cpu/entries.inc
         CONTENT "#include \"${directory}/entries.inc\"\n#include \"${PROJECT_BINARY_DIR}/gen/entries.inc\"\n")
    set(folder ${PROJECT_SOURCE_DIR}/tests/targets/calls)
    file(GLOB own CONFIGURE_DEPENDS ${folder}/${kind}_*.cpp)
    add_executable(lathe_calls_${kind} $<TARGET_OBJECTS:lathe_test_objects> ${folder}/device_test.cpp ${folder}/elsewhere.cpp
                   ${own} ${PROJECT_SOURCE_DIR}/runtime/registry.cpp ${objects})
    target_include_directories(lathe_calls_${kind} SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
    target_include_directories(lathe_calls_${kind} BEFORE PRIVATE ${directory}/with_cpu ${PROJECT_SOURCE_DIR}/runtime
                                                                  ${PROJECT_SOURCE_DIR}/tests)
    target_link_libraries(lathe_calls_${kind} PRIVATE lathe_open GTest::gtest fmt::fmt
                                                      nlohmann_json::nlohmann_json rapidcheck Threads::Threads ${CMAKE_DL_LIBS})
  endif()
  lathe_suites(suites ${ARGN})
  add_test(NAME ${kind}/${name} COMMAND lathe_calls_${kind} ${suites})
  set_tests_properties(${kind}/${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endfunction()
