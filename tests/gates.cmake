# What must hold of the sources and of what was built from them, and the consumer of an installed lathe.
find_program(LATHE_SH sh REQUIRED)
function(lathe_gate name)
  add_test(NAME gate/${name} COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/gates/${name}.sh ${ARGN})
endfunction()
# those of devices call the library's own launcher
lathe_names(devices ${PROJECT_SOURCE_DIR}/schedules/targets.def LATHE_TARGET "gpu,")
list(JOIN devices "|" devices)
set(objects_of_hosts ${LATHE_KERNEL_OBJECTS})
list(FILTER objects_of_hosts EXCLUDE REGEX "_(${devices})[.]o$")
lathe_gate(kernel_imports ${CMAKE_NM} ${objects_of_hosts})
lathe_gate(object_count ${LATHE_KERNEL_OBJECTS})
lathe_gate(exported_symbols ${CMAKE_NM} ${PROJECT_SOURCE_DIR}/runtime/lathe.h ${PROJECT_SOURCE_DIR}/runtime/exports.map
           $<TARGET_FILE:lathe_shared> $<TARGET_FILE:lathe_static>)
lathe_gate(no_schedule_verbs ${PROJECT_SOURCE_DIR})
lathe_gate(no_var_s ${PROJECT_SOURCE_DIR})
lathe_gate(readme_commands ${PROJECT_SOURCE_DIR})
lathe_gate(version ${CMAKE_READELF} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} $<TARGET_FILE:lathe_shared>)
lathe_gate(lessons ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_CTEST_COMMAND} $<TARGET_FILE:lathe_tests>)

# What is installed, packed and shipped, and a stranger's program against it.
function(lathe_install_test name script)
  add_test(NAME install/${name} COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/install/${script}.sh ${ARGN}
                                        ${CMAKE_CURRENT_BINARY_DIR}/install/${name})
endfunction()
set(means ${CMAKE_COMMAND} ${CMAKE_MAKE_PROGRAM} ${CMAKE_C_COMPILER} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
lathe_install_test(tree tree ${means})
lathe_install_test(debs debs ${means})
list(GET rows 0 row)
lathe_install_test(tarball tarball configure ${means} ${LATHE_HALIDE_ROOT} ${row})
lathe_install_test(tarball_built tarball build ${means} ${LATHE_HALIDE_ROOT} ${row})
set_tests_properties(install/debs PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(install/tarball_built PROPERTIES LABELS all PROCESSORS 2 TIMEOUT 3600)

# The operator of ONNX that is this library's, by those who define it.
add_test(NAME onnx COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/onnx/conformance.sh
                           ${PROJECT_SOURCE_DIR}/bench/peers/requirements.txt $<TARGET_FILE:lathe_shared>
                           ${PROJECT_SOURCE_DIR}/runtime/lathe.h ${CMAKE_CURRENT_BINARY_DIR}/onnx)
set_tests_properties(onnx PROPERTIES LABELS all TIMEOUT 1800 SKIP_RETURN_CODE 77)

# The README's two commands on a machine that has nothing.
add_test(NAME bare_machine COMMAND ${PROJECT_SOURCE_DIR}/.ci/bare-machine)
set_tests_properties(bare_machine PROPERTIES LABELS all PROCESSORS 2 TIMEOUT 10800 SKIP_RETURN_CODE 77)

add_test(NAME gate/expected_skips
         COMMAND ${CMAKE_COMMAND} -DCTEST=${CMAKE_CTEST_COMMAND} -DBUILD_DIR=${PROJECT_BINARY_DIR}
                 -DLIST=${CMAKE_CURRENT_SOURCE_DIR}/expected_skips.def -P ${CMAKE_CURRENT_SOURCE_DIR}/gates/expected_skips.cmake)

if(TARGET lathe_gen_objects)
  # lathe-gen with kernels that cannot be generated
  add_executable(lathe_gen_broken generation/broken_kernels.cpp $<TARGET_OBJECTS:lathe_gen_objects>)
  target_include_directories(lathe_gen_broken PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(lathe_gen_broken PRIVATE Halide::Halide fmt::fmt)
  lathe_gate(compile_errors $<TARGET_FILE:lathe_gen_broken> ${CMAKE_CURRENT_BINARY_DIR}/compile_errors)
endif()

# From inside the runtime: which row and which kernels are chosen.
add_executable(lathe_dispatch_test dispatch/broken_kernel_test.cpp dispatch/dispatch_test.cpp dispatch/processors.cpp
                                   dispatch/processors_test.cpp ${LATHE_TEST_MAIN})
target_link_libraries(lathe_dispatch_test PRIVATE lathe_open GTest::gtest fmt::fmt)
add_test(NAME dispatch COMMAND lathe_dispatch_test)
