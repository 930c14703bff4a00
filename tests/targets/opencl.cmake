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
file(GLOB reference_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/reference/*.cpp)
add_executable(lathe_opencl_test
               kernels_test.cpp ${reference_sources} ../support/guarded.cpp
               ../support/inputs.cpp ../support/tensor.cpp ${PROJECT_SOURCE_DIR}/runtime/maps.cpp
               ${PROJECT_SOURCE_DIR}/runtime/processor.cpp ${PROJECT_SOURCE_DIR}/runtime/registry.cpp ${objects}
               ${directory}/lathe_runtime_opencl.o)
target_sources(lathe_opencl_test PRIVATE ../support/main.cpp ../support/shape_table.cpp ${PROJECT_SOURCE_DIR}/runtime/rows.cpp)
target_include_directories(lathe_opencl_test SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe_opencl_test PRIVATE ${directory} ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime
                                                     ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(lathe_opencl_test PRIVATE GTest::gtest fmt::fmt-header-only Threads::Threads ${CMAKE_DL_LIBS})
add_test(NAME opencl/kernels COMMAND lathe_opencl_test)
set_tests_properties(opencl/kernels PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300
                     ENVIRONMENT POCL_CACHE_DIR=${CMAKE_CURRENT_BINARY_DIR}/pocl-cache)

# The C functions with tensors on the device: the suites of rows, as far as devices compute. The registry of this program
# has the row besides those of the library.
set(registry ${PROJECT_SOURCE_DIR}/runtime/registry.cpp)
file(CONFIGURE OUTPUT ${directory}/with_cpu/entries.inc
     CONTENT "#include \"${directory}/entries.inc\"\n#include \"${PROJECT_BINARY_DIR}/gen/entries.inc\"\n")
add_executable(lathe_device_tests $<TARGET_OBJECTS:lathe_test_objects> device_test.cpp elsewhere.cpp ${registry} ${objects})
target_include_directories(lathe_device_tests SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_include_directories(lathe_device_tests BEFORE PRIVATE ${directory}/with_cpu ${PROJECT_SOURCE_DIR}/runtime
                                                             ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(lathe_device_tests PRIVATE lathe_open GTest::gtest fmt::fmt-header-only nlohmann_json::nlohmann_json
                                                 rapidcheck Threads::Threads ${CMAKE_DL_LIBS})
# without what devices do not compute yet, and what compares the bits of two rows
string(CONCAT calls "Device*:Ops/States*:Ops/Exact*:Ops/Packed*:Ops/Causality*:Ops/Poisoned*:Maps/*:Types/*:Extents/*"
                    ":*NotWhenNothingIsSpoiled/*_projected-*delta*:*gate_key*:*kda*:*momentum*:*rwkv*:*ssd*:*backward*")
add_test(NAME opencl/calls COMMAND lathe_device_tests --gtest_filter=${calls})
set_tests_properties(opencl/calls PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
                     ENVIRONMENT POCL_CACHE_DIR=${CMAKE_CURRENT_BINARY_DIR}/pocl-cache)
add_subdirectory(twins)
