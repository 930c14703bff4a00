# The whole library compiled for 64-bit ARM, as `cmake --preset arm64` does it, and run under an emulator on a processor
# with none of the optional instructions and on one with all: the part of the suite that decides whether a kernel computes
# the right numbers, the C interface, the choice of a row, and a stranger's program against the installed package. And what
# a static model says of the kernels' loops.
find_package(Python3 COMPONENTS Interpreter)
if(TARGET lathe AND Python3_FOUND)
  add_test(NAME arm/loops COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/arm_loops.py $<TARGET_FILE:lathe>
                                  ${CMAKE_CURRENT_BINARY_DIR}/arm_loops)
  set_tests_properties(arm/loops PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()

find_program(LATHE_ARM64_COMPILER aarch64-linux-gnu-g++)
find_program(LATHE_ARM64_C_COMPILER aarch64-linux-gnu-gcc)
find_program(LATHE_ARM64_EMULATOR qemu-aarch64)
find_path(LATHE_GTEST_SOURCES googletest/src/gtest-all.cc PATHS /usr/src/googletest)
set(row_of_cortex-a53 neon)
set(row_of_max neon_fp16)
set(processors cortex-a53 max)
if(NOT LATHE_ARM64_COMPILER OR NOT LATHE_ARM64_C_COMPILER OR NOT LATHE_ARM64_EMULATOR OR NOT LATHE_GTEST_SOURCES)
  foreach(test build ${processors} package all)
    lathe_skipped(arm/${test} "a compiler, an emulator and googletest (Debian: g++-aarch64-linux-gnu qemu-user googletest)")
  endforeach()
  set_tests_properties(arm/all PROPERTIES LABELS all)
  return()
endif()

# lathe_arm64(TEST SUITES [--test-command COMMAND...]): builds what is tested, with the suites whose names are joined by |.
# Tests build, so that a build for this machine does not wait for them.
set(arm64 ${PROJECT_BINARY_DIR}/arm64)
function(lathe_arm64 test suites)
  add_test(NAME arm/${test}
           COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${PROJECT_SOURCE_DIR} ${arm64}
                   --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM} --build-noclean
                   --build-options -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DLATHE_GEN_EXECUTABLE=$<TARGET_FILE:lathe-gen>
                   -DCMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/cmake/arm64.cmake -DCMAKE_CXX_FLAGS_RELEASE=-O1
                   -DLATHE_HALIDE_ROOT=${LATHE_HALIDE_ROOT} -DLATHE_TARGETS=all -DLATHE_TUNE_FOR=generic -DLATHE_TOOLS=OFF
                   "-DLATHE_CROSS_TESTS=${suites}" ${ARGN})
  set_tests_properties(arm/${test} PROPERTIES TIMEOUT 1800 PROCESSORS 2 RESOURCE_LOCK arm64)
endfunction()
set(suite ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/arm_suite.sh ${LATHE_ARM64_EMULATOR} ${arm64}/bin)
set(root "QEMU_LD_PREFIX=/usr/aarch64-linux-gnu")

lathe_arm64(build "accuracy|api|exact|list|plan|shapes")
set_tests_properties(arm/build PROPERTIES FIXTURES_SETUP arm64)
# an emulated processor uses one of ours
foreach(processor IN LISTS processors)
  add_test(NAME arm/${processor} COMMAND ${suite} "--gtest_filter=-ExactLength.*:Ops/Shapes.OfTheBenchmark*")
  set_tests_properties(arm/${processor} PROPERTIES FIXTURES_REQUIRED arm64 TIMEOUT 1800 ENVIRONMENT
                                                   "${root};QEMU_CPU=${processor};LATHE_TARGET=${row_of_${processor}}")
endforeach()
add_test(NAME arm/package COMMAND ${LATHE_SH} ${PROJECT_SOURCE_DIR}/tests/install/tree.sh ${CMAKE_COMMAND} ${CMAKE_MAKE_PROGRAM}
                                  ${LATHE_ARM64_C_COMPILER} ${PROJECT_SOURCE_DIR} ${arm64} ${CMAKE_CURRENT_BINARY_DIR}/arm_package)
set_tests_properties(arm/package PROPERTIES FIXTURES_REQUIRED arm64 ENVIRONMENT
                                            "${root};LATHE_EMULATOR=${LATHE_ARM64_EMULATOR};\
CMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/cmake/arm64.cmake")
lathe_arm64(all "" --test-command ${suite})
# builds in the same folder
set_tests_properties(arm/all PROPERTIES LABELS all TIMEOUT 7200 DEPENDS "arm/cortex-a53;arm/max;arm/package"
                                        ENVIRONMENT "${root};QEMU_CPU=max;LATHE_TARGET=neon_fp16")
