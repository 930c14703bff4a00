# In a build for a sanitizer: what it sees of the suite, and that it reports a planted fault in a kernel and one in the
# runtime, by the name of where it is.
add_executable(lathe_planted_fault sanitize/planted_fault.cpp)
target_include_directories(lathe_planted_fault SYSTEM PRIVATE ${LATHE_HALIDE_INCLUDE})
target_link_libraries(lathe_planted_fault PRIVATE lathe_open fmt::fmt)
function(lathe_planted place report)
  add_test(NAME planted/${place} COMMAND lathe_planted_fault ${LATHE_SANITIZE} ${place})
  set_tests_properties(planted/${place} PROPERTIES PASS_REGULAR_EXPRESSION "${report}")
endfunction()
list(GET rows 0 row)
# instrumented, kernels fuse fewer products with sums, and no two the same
set(suites "-MildGates.*")
if(LATHE_SANITIZE STREQUAL "thread")
  # one thread has no races
  set(suites "*Threads*:*Crowd.*:*Forks.*:*CpuSet.*:*Workers.*:Tasks.*:Pool.*:Plans.*:Fuzz.*")
endif()
# slower by an order, so in two halves; a fork of many threads is one of the tests
foreach(half 0 1)
  add_test(NAME row/${row}/${half} COMMAND lathe_tests --gtest_filter=${suites})
  set_tests_properties(row/${row}/${half} PROPERTIES TIMEOUT 5000 ENVIRONMENT
                       "LATHE_TARGET=${row};GTEST_TOTAL_SHARDS=2;GTEST_SHARD_INDEX=${half};\
RC_PARAMS=seed=1 max_success=100;TSAN_OPTIONS=die_after_fork=0")
endforeach()
if(LATHE_SANITIZE STREQUAL "address")
  lathe_planted(kernel "AddressSanitizer: heap-buffer-overflow.*lathe_widen_bf16_${row}")
  lathe_planted(runtime "AddressSanitizer: heap-buffer-overflow.*lathe_run")
elseif(LATHE_SANITIZE STREQUAL "thread")
  lathe_planted(kernel "ThreadSanitizer: data race.*lathe_widen_bf16_${row}")
  lathe_planted(runtime "ThreadSanitizer: data race.*lathe_run")
else()
  lathe_planted(runtime "layout.cpp:[0-9:]+ runtime error: signed integer overflow")
endif()
