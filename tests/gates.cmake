# What must hold of the sources and of what was built from them, and the consumer of an installed lathe.
find_program(LATHE_SH sh REQUIRED)
function(lathe_gate name)
  add_test(NAME gate/${name} COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/gates/${name}.sh ${ARGN})
endfunction()
lathe_gate(kernel_imports ${CMAKE_NM} ${LATHE_KERNEL_OBJECTS})
lathe_gate(object_count ${LATHE_KERNEL_OBJECTS})
lathe_gate(exported_symbols ${CMAKE_NM} ${PROJECT_SOURCE_DIR}/runtime/lathe.h ${PROJECT_SOURCE_DIR}/runtime/exports.map
           $<TARGET_FILE:lathe_shared> $<TARGET_FILE:lathe_static>)
lathe_gate(no_schedule_verbs ${PROJECT_SOURCE_DIR})
lathe_gate(no_var_s ${PROJECT_SOURCE_DIR})
lathe_gate(readme_commands ${PROJECT_SOURCE_DIR})

add_test(NAME install/consumer
         COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/install/consumer.sh ${CMAKE_COMMAND} ${CMAKE_MAKE_PROGRAM}
                 ${CMAKE_C_COMPILER} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR}/consumer)

# From inside the runtime: which row and which kernels are chosen.
add_executable(lathe_dispatch_test dispatch/broken_kernel_test.cpp dispatch/dispatch_test.cpp)
target_link_libraries(lathe_dispatch_test PRIVATE lathe_open GTest::gtest_main fmt::fmt-header-only)
add_test(NAME dispatch COMMAND lathe_dispatch_test)
