# lathe_precompile(TARGET HEADER...): headers of others that take longer to compile than what includes them; together they
# are half of a build. `-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON` is what clang-tidy wants, which cannot read GCC's.
function(lathe_precompile target)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>" OUTPUT_VARIABLE headers)
  target_precompile_headers(${target} PRIVATE ${headers})
endfunction()
