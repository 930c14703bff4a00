# The whole library compiled for 64-bit ARM, and the part of the suite that decides whether a kernel computes the right
# numbers, run under an emulator. `cmake --preset arm64` builds and `ctest` there runs all of it.
find_program(LATHE_ARM64_COMPILER aarch64-linux-gnu-g++)
find_program(LATHE_ARM64_EMULATOR qemu-aarch64)
find_path(LATHE_GTEST_SOURCES googletest/src/gtest-all.cc PATHS /usr/src/googletest)
if(LATHE_ARM64_COMPILER AND LATHE_ARM64_EMULATOR AND LATHE_GTEST_SOURCES)
  add_test(NAME arm/kernels
           COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/arm64
                   --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM} --build-target lathe_tests
                   --build-options -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DLATHE_GEN_EXECUTABLE=$<TARGET_FILE:lathe-gen>
                   -DCMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/cmake/arm64.cmake -DCMAKE_CXX_FLAGS_RELEASE=-O1
                   -DLATHE_HALIDE_ROOT=${LATHE_HALIDE_ROOT} -DLATHE_TARGETS=neon -DLATHE_TUNE_FOR=generic -DLATHE_TOOLS=OFF
                   "-DLATHE_CROSS_TESTS=accuracy|exact|shapes"
                   --test-command ${LATHE_ARM64_EMULATOR} -L /usr/aarch64-linux-gnu
                   ${PROJECT_BINARY_DIR}/arm64/bin/lathe_tests --gtest_filter=-ExactLength.*)
  set_tests_properties(arm/kernels PROPERTIES TIMEOUT 900 PROCESSORS 2 ENVIRONMENT LATHE_TARGET=neon)
else()
  lathe_skipped(arm/kernels "a compiler, an emulator and googletest (Debian: g++-aarch64-linux-gnu qemu-user googletest)")
endif()
