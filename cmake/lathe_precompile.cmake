# lathe_precompile(TARGET HEADER...): headers of others that take longer to compile than what includes them; together they
# are much of a build.
function(lathe_precompile target)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>" OUTPUT_VARIABLE headers)
  target_precompile_headers(${target} PRIVATE ${headers})
endfunction()
