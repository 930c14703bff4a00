# lathe_precompile(TARGET HEADER...): headers of others that take longer to compile than what includes them; together they
# are much of a build.
function(lathe_precompile target)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>" OUTPUT_VARIABLE headers)
  target_precompile_headers(${target} PRIVATE ${headers})
endfunction()

# lathe_together(TARGET): several sources a compilation, since what they include and instantiate is most of it. With
# LATHE_TOGETHER off each is compiled by itself, as one who changes one of them again and again will want.
option(LATHE_TOGETHER "Compile several sources at a time: half the time of a whole build" ON)
function(lathe_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${LATHE_TOGETHER} UNITY_BUILD_BATCH_SIZE 7)
endfunction()
