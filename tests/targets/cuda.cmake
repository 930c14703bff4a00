# The CUDA rows: their code is emitted and assembled for every architecture, and needs no GPU for that.
if(TARGET lathe AND Python3_FOUND)
  function(lathe_ptxas name row)
    add_test(NAME cuda/${name}
             COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/ptxas.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/cuda
                     ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/ptxas.py $<TARGET_FILE:lathe> ${row}
                     ${CMAKE_CURRENT_BINARY_DIR}/cuda ${ARGN})
    set_tests_properties(cuda/${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800 PROCESSORS 2)
  endfunction()
  # the oldest and the newest; the next one takes all of them
  lathe_ptxas(ptxas cuda_70 --brief --mcpu sm_75,sm_120)
  lathe_ptxas(cuda_70 cuda_70 --table ${PROJECT_SOURCE_DIR}/docs/gpu.md)
  lathe_ptxas(cuda_80 cuda_80 --operators ${PROJECT_SOURCE_DIR}/docs/gpu.md)
  set_tests_properties(cuda/cuda_70 cuda/cuda_80 PROPERTIES LABELS all)

  # what calibrates the model of docs/gpu.md
  add_executable(lathe_sgemm_test sgemm/model_test.cpp ${LATHE_TEST_MAIN})
  target_include_directories(lathe_sgemm_test PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(lathe_sgemm_test PRIVATE LATHE_SGEMM_FOLDER="${CMAKE_CURRENT_SOURCE_DIR}/sgemm"
                                                      LATHE_BUILD_FOLDER="${PROJECT_BINARY_DIR}")
  target_link_libraries(lathe_sgemm_test PRIVATE lathe_tuner GTest::gtest fmt::fmt)
  add_test(NAME cuda/model COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/ptxas.sh ${PROJECT_SOURCE_DIR}
                                   ${PROJECT_BINARY_DIR}/cuda $<TARGET_FILE:lathe_sgemm_test>)
  add_test(NAME cuda/sweep COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/ptxas.sh ${PROJECT_SOURCE_DIR}
                                   ${PROJECT_BINARY_DIR}/cuda ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/sass_sweep.sh
                                   $<TARGET_FILE:lathe> ${CMAKE_CURRENT_BINARY_DIR}/sass_sweep)
  set_tests_properties(cuda/model cuda/sweep PROPERTIES SKIP_RETURN_CODE 77)
endif()

# The C functions with tensors on a CUDA device: the machine's, if it has a driver, else one of our own, which interprets PTX
# and takes minutes for what a device does at once.
add_subdirectory(ptx)
set(directory ${PROJECT_BINARY_DIR}/gen/tests/cuda)
set(objects)
set(entries)
set(LATHE_OPS causal noncausal accumulate readout decode causal_backward noncausal_backward)
lathe_row(cuda_70 ${directory} "")
lathe_registry(${directory}/entries.inc ${entries})
set(calls Device* Ops/States.PackedWithSlots* Ops/Backward.ExactOnIntegers/*plain Ops/Backward.ExactOnIntegers/*_gate MixturesOfIntegers.HaveExactGradients *Mixtures.PackedAndWithLengths/*backward_plain* Ops/Backward.LengthsPackedAndSlots/*momentum* Ops/Backward.LengthsPackedAndSlots/*delta Ops/Backward.LengthsPackedAndSlots/*kda Ops/Backward.ClampedGates/*ssd Ops/Backward.ExactOnIntegers/*gate_key Ops/Backward.LengthsPackedAndSlots/*rwkv6 *NotWhenNothingIsSpoiled/*_projected *NotWhenNothingIsSpoiled/*_positions *NotWhenNothingIsSpoiled/*_decaying Ops/StabilisedScans.OfLengthsPackedAndSlots/causal_gate Ops/StabilisedScans.OfLengthsPackedAndSlots/decode_gate_key Ops/StabilisedScans.OfHeadsThatShareKeys/noncausal_plain)
lathe_calls(cuda_70 calls ${calls})
lathe_calls(cuda_70 all_calls)
set_tests_properties(cuda/all_calls PROPERTIES LABELS all TIMEOUT 7200)
find_library(LATHE_CUDA_DRIVER libcuda.so.1)
set(stand_in LD_LIBRARY_PATH=$<TARGET_FILE_DIR:lathe_ptx_driver>)
if(NOT LATHE_CUDA_DRIVER)
  set_tests_properties(cuda/calls cuda/all_calls PROPERTIES ENVIRONMENT ${stand_in})
endif()

# A library with machine code beside its PTX, built as whoever packages one would: what it holds, and the calls once more.
# Tests build it, so that a build does not wait for a second row.
add_test(NAME cuda/cubins_of_no_row
         COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR} -B ${CMAKE_CURRENT_BINARY_DIR}/cubins_of_no_row -G ${CMAKE_GENERATOR}
                 -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DLATHE_HALIDE_ROOT=${LATHE_HALIDE_ROOT} -DLATHE_CUBINS=all)
set_tests_properties(cuda/cubins_of_no_row PROPERTIES PASS_REGULAR_EXPRESSION
                     "LATHE_CUBINS=all: expected a row of CUDA in LATHE_TARGETS, such as cuda_70")
if(Python3_FOUND)
  set(built ${PROJECT_BINARY_DIR}/cubins)
  set(tools ${PROJECT_BINARY_DIR}/cuda/nvidia/cu13/bin)
  set(fetched ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/ptxas.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/cuda)
  list(GET rows 0 row)
  add_test(NAME cuda/cubins
           COMMAND ${fetched} ${CMAKE_CTEST_COMMAND} --build-and-test ${PROJECT_SOURCE_DIR} ${built}
                   --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM} --build-noclean
                   --build-target lathe_shared --build-target lathe_calls_cuda
                   --build-options -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM} -DLATHE_HALIDE_ROOT=${LATHE_HALIDE_ROOT}
                   -DLATHE_GEN_EXECUTABLE=$<TARGET_FILE:lathe-gen> "-DLATHE_TARGETS=${row}\;cuda_70" -DLATHE_TOOLS=OFF
                   -DLATHE_CUBINS=all -DLATHE_PTXAS=${tools}/ptxas -DLATHE_FATBINARY=${tools}/fatbinary
                   --test-command ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/cubins.py ${tools}
                   ${built}/liblathe.so ${built}/gen/cuda_70 ${CMAKE_CURRENT_BINARY_DIR}/cubins)
  lathe_suites(suites ${calls})
  add_test(NAME cuda/calls_with_cubins COMMAND ${fetched} ${built}/bin/lathe_calls_cuda ${suites})
  if(NOT LATHE_CUDA_DRIVER)
    set_tests_properties(cuda/calls_with_cubins PROPERTIES ENVIRONMENT ${stand_in})
  endif()
  set_tests_properties(cuda/cubins PROPERTIES FIXTURES_SETUP cubins PROCESSORS 2)
  set_tests_properties(cuda/calls_with_cubins PROPERTIES FIXTURES_REQUIRED cubins)
  set_tests_properties(cuda/cubins cuda/calls_with_cubins PROPERTIES LABELS all TIMEOUT 3600 SKIP_RETURN_CODE 77)
endif()
