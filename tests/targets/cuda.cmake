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
lathe_calls(cuda_70 calls Device* Ops/States.PackedWithSlots* Ops/Backward.ExactOnIntegers/*plain Ops/Backward.ExactOnIntegers/*_gate MixturesOfIntegers.HaveExactGradients *Mixtures.PackedAndWithLengths/*backward_plain* Ops/Backward.LengthsPackedAndSlots/*momentum* Ops/Backward.LengthsPackedAndSlots/*delta Ops/Backward.LengthsPackedAndSlots/*kda Ops/Backward.ClampedGates/*ssd Ops/Backward.ExactOnIntegers/*gate_key Ops/Backward.LengthsPackedAndSlots/*rwkv6 *NotWhenNothingIsSpoiled/*_projected *NotWhenNothingIsSpoiled/*_positions *NotWhenNothingIsSpoiled/*_decaying)
lathe_calls(cuda_70 all_calls)
set_tests_properties(cuda/all_calls PROPERTIES LABELS all TIMEOUT 7200)
find_library(LATHE_CUDA_DRIVER libcuda.so.1)
if(NOT LATHE_CUDA_DRIVER)
  set_tests_properties(cuda/calls cuda/all_calls PROPERTIES ENVIRONMENT LD_LIBRARY_PATH=$<TARGET_FILE_DIR:lathe_ptx_driver>)
endif()
