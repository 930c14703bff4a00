# The OpenCL row, kernel by kernel, on whatever platform the machine has: PoCL runs it on the processor.
set(directory ${PROJECT_BINARY_DIR}/gen/tests/opencl)
set(objects)
set(entries)
lathe_row(opencl ${directory} "")
lathe_registry(${directory}/entries.inc ${entries})
add_custom_command(OUTPUT ${directory}/lathe_runtime_opencl.o
                   COMMAND lathe-gen --runtime --row opencl --out ${directory}
                   DEPENDS lathe-gen
                   COMMENT "lathe_runtime_opencl"
                   VERBATIM)
set_source_files_properties(${directory}/lathe_runtime_opencl.o PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
add_executable(lathe_opencl_test
               kernels_test.cpp ${PROJECT_SOURCE_DIR}/runtime/maps.cpp
               ${PROJECT_SOURCE_DIR}/runtime/processor.cpp ${PROJECT_SOURCE_DIR}/runtime/registry.cpp
               ${PROJECT_SOURCE_DIR}/runtime/rows.cpp ${PROJECT_SOURCE_DIR}/runtime/text.cpp ${objects}
               ${directory}/lathe_runtime_opencl.o
               "$<FILTER:$<TARGET_OBJECTS:lathe_test_objects>,INCLUDE,/(reference/|support/(guarded|inputs|shape_table|tensor)[.])>"
               ${LATHE_TEST_MAIN})
target_include_directories(lathe_opencl_test SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe_opencl_test PRIVATE ${directory} ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime
                                                     ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(lathe_opencl_test PRIVATE GTest::gtest fmt::fmt Threads::Threads ${CMAKE_DL_LIBS})
add_test(NAME opencl/kernels COMMAND lathe_opencl_test)
set_tests_properties(opencl/kernels PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300
                     ENVIRONMENT POCL_CACHE_DIR=${CMAKE_CURRENT_BINARY_DIR}/pocl-cache)
lathe_calls(opencl calls Device* Ops/States* Ops/Packed* Ops/Exact* *Mixture* Ops/Backward.LengthsPackedAndSlots/*momentum* Ops/Backward.LengthsPackedAndSlots/*delta Ops/Backward.LengthsPackedAndSlots/*kda Types/* *NotWhenNothingIsSpoiled/*_projected Snapshots* Ops/StabilisedScans.OfHeadsThatShareKeys/*plain Ops/StabilisedScans.OfLengthsPackedAndSlots/* Ops/Backward.ClampedGates/*ssd Ops/Backward.ClampedGates/*gate_key Ops/Backward.LengthsPackedAndSlots/*rwkv6)
lathe_calls(opencl all_calls)
set_tests_properties(opencl/all_calls PROPERTIES LABELS all)
set_tests_properties(opencl/calls opencl/all_calls PROPERTIES ENVIRONMENT POCL_CACHE_DIR=${CMAKE_CURRENT_BINARY_DIR}/pocl-cache)
add_subdirectory(twins)
