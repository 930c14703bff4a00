# The presets that instrument everything, from the build that everybody makes. Those that run the whole suite take long.
foreach(preset asan tsan ubsan fuzz)
  add_test(NAME sanitize/${preset}
           COMMAND ${LATHE_SH} ${CMAKE_CURRENT_SOURCE_DIR}/sanitize/preset.sh ${CMAKE_COMMAND} ${CMAKE_CTEST_COMMAND}
                   ${CMAKE_MAKE_PROGRAM} ${PROJECT_SOURCE_DIR} $<TARGET_FILE:lathe-gen> ${LATHE_HALIDE_ROOT}
                   ${CMAKE_CURRENT_BINARY_DIR}/${preset} ${preset})
  set_tests_properties(sanitize/${preset} PROPERTIES PROCESSORS 2 TIMEOUT 7200)
endforeach()
# one process for most of its time
set_tests_properties(sanitize/fuzz PROPERTIES SKIP_RETURN_CODE 77 PROCESSORS 1)
set_tests_properties(sanitize/asan sanitize/tsan sanitize/ubsan PROPERTIES LABELS all)
