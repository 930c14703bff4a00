# Kernels x targets -> one ahead-of-time call each, and the registry. Every list is read from the one place that holds it.

# lathe_names(OUT FILE MACRO [REGEX]): the first argument of each `MACRO(name, ...` line of FILE whose rest matches.
function(lathe_names out file macro)
  file(STRINGS ${file} lines REGEX "^${macro}\\([a-z0-9_]+.*${ARGN}")
  set(names)
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^${macro}\\(([a-z0-9_]+).*" "\\1" name "${line}")
    list(APPEND names ${name})
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  set(${out} ${names} PARENT_SCOPE)
endfunction()

# lathe_cut(OUT VARIABLE ALL...): what the user asks for in VARIABLE, which must be among ALL; nothing asked for is all.
function(lathe_cut out variable)
  foreach(name IN LISTS ${variable})
    if(NOT name IN_LIST ARGN)
      message(FATAL_ERROR "${variable}: unknown '${name}'; expected some of: ${ARGN}")
    endif()
  endforeach()
  set(${out} ${ARGN} PARENT_SCOPE)
  if(${variable})
    set(${out} ${${variable}} PARENT_SCOPE)
  endif()
endfunction()

# lathe_operators(OUT): those that are not cut out.
function(lathe_operators out)
  lathe_names(all ${PROJECT_SOURCE_DIR}/runtime/operators.def LATHE_OPERATOR)
  lathe_cut(operators LATHE_OPS ${all})
  set(${out} ${operators} PARENT_SCOPE)
endfunction()

# lathe_kernels_of_operators(OUT): what those are made of.
function(lathe_kernels_of_operators out)
  lathe_operators(operators)
  set(kernels)
  foreach(operator IN LISTS operators)
    file(STRINGS ${PROJECT_SOURCE_DIR}/runtime/operators.def row REGEX "^LATHE_OPERATOR\\(${operator},")
    string(REGEX REPLACE ".*\"(.*)\"\\)$" "\\1" words "${row}")
    separate_arguments(words)
    list(APPEND kernels ${words})
  endforeach()
  set(${out} ${kernels} PARENT_SCOPE)
endfunction()

# lathe_instances(OUT): every "kernel:axis" that a CPU row is made of.
function(lathe_instances out)
  lathe_names(transitions ${PROJECT_SOURCE_DIR}/generators/transitions.h LATHE_TRANSITION)
  lathe_names(maps ${PROJECT_SOURCE_DIR}/generators/feature_maps.h LATHE_MAP)
  if(LATHE_EXTRA_MAPS)
    lathe_names(extra_maps ${LATHE_EXTRA_MAPS} LATHE_MAP)
    list(APPEND maps ${extra_maps})
  endif()
  lathe_names(storage ${PROJECT_SOURCE_DIR}/generators/storage.h LATHE_STORAGE)
  lathe_cut(maps LATHE_MAPS ${maps})
  lathe_cut(storage LATHE_DTYPES f32 ${storage})
  list(REMOVE_ITEM storage f32) # that of all arithmetic, which needs no kernel
  lathe_kernels_of_operators(kernels)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/generators/*.cpp)
  set(instances)
  foreach(source IN LISTS sources)
    file(STRINGS ${source} lines REGEX "^LATHE_KERNEL\\(")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^LATHE_KERNEL\\(([a-z0-9_]+), ([a-z]+)\\).*" "\\1;\\2" pair "${line}")
      list(GET pair 0 kernel)
      list(GET pair 1 axis)
      if(NOT kernel IN_LIST kernels)
        continue()
      endif()
      if(axis STREQUAL "once")
        list(APPEND instances "${kernel}:")
      else()
        foreach(value IN LISTS ${axis})
          list(APPEND instances "${kernel}:${value}")
        endforeach()
      endif()
    endforeach()
  endforeach()
  set(${out} ${instances} PARENT_SCOPE)
endfunction()

# lathe_row(ROW DIRECTORY SUFFIX OPTIONS...): one command per instance. Adds to `objects` and `entries` of the caller.
function(lathe_row row directory suffix)
  lathe_instances(instances)
  foreach(instance IN LISTS instances)
    string(REPLACE ":" ";" pair "${instance}")
    list(GET pair 0 kernel)
    list(GET pair 1 axis)
    set(symbol lathe_${kernel}_${axis}_${row}${suffix})
    set(axis_option --axis ${axis})
    if(axis STREQUAL "")
      set(symbol lathe_${kernel}_${row}${suffix})
      set(axis_option)
    endif()
    add_custom_command(
      OUTPUT ${directory}/${symbol}.o ${directory}/${symbol}.inc
      COMMAND lathe-gen --kernel ${kernel} ${axis_option} --row ${row} --records
              ${PROJECT_SOURCE_DIR}/schedules/records --tune-for ${LATHE_TUNE_FOR} --out ${directory}
              ${LATHE_KERNEL_SANITIZER} ${ARGN}
      DEPENDS lathe-gen ${LATHE_RECORD_FILES}
      COMMENT "${symbol}"
      VERBATIM)
    list(APPEND objects ${directory}/${symbol}.o)
    list(APPEND entries ${directory}/${symbol}.inc)
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set(objects ${objects} PARENT_SCOPE)
  set(entries ${entries} PARENT_SCOPE)
endfunction()

# lathe_registry(FILE ENTRIES...): the table that runtime/registry.cpp includes. For targets of the caller's directory.
function(lathe_registry file)
  set(includes)
  foreach(entry IN LISTS ARGN)
    string(APPEND includes "#include \"${entry}\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${file} CONTENT "${includes}" @ONLY)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/runtime/registry.cpp PROPERTIES OBJECT_DEPENDS "${ARGN}")
endfunction()

# lathe_kernels(ROWS...): every row that is built. Sets LATHE_KERNEL_OBJECTS in the caller.
function(lathe_kernels)
  set(objects)
  set(entries)
  foreach(row IN LISTS ARGN)
    lathe_row(${row} ${PROJECT_BINARY_DIR}/gen/${row} "")
  endforeach()
  lathe_registry(${PROJECT_BINARY_DIR}/gen/entries.inc ${entries})
  set(LATHE_KERNEL_OBJECTS ${objects} PARENT_SCOPE)
endfunction()

# lathe_twins(ROW): the row once more, with Halide's own checks left in. Sets LATHE_TWIN_OBJECTS in the caller; its
# registry is ${PROJECT_BINARY_DIR}/gen/asserting/entries.inc.
function(lathe_twins row)
  set(objects)
  set(entries)
  lathe_row(${row} ${PROJECT_BINARY_DIR}/gen/asserting/${row} _asserting --asserts)
  lathe_registry(${PROJECT_BINARY_DIR}/gen/asserting/entries.inc ${entries})
  set(LATHE_TWIN_OBJECTS ${objects} PARENT_SCOPE)
endfunction()
