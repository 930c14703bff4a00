# Halide from its wheel, by hand: the wheel's own package file wants Python's headers, which nothing here uses.
if(NOT LATHE_HALIDE_ROOT)
  file(GLOB LATHE_HALIDE_ROOT ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/halide)
endif()
find_path(LATHE_HALIDE_INCLUDE Halide.h PATHS ${LATHE_HALIDE_ROOT}/include NO_DEFAULT_PATH)
find_library(LATHE_HALIDE_LIBRARY Halide PATHS ${LATHE_HALIDE_ROOT}/lib64 ${LATHE_HALIDE_ROOT}/lib NO_DEFAULT_PATH)
if(NOT LATHE_HALIDE_INCLUDE OR NOT LATHE_HALIDE_LIBRARY)
  message(FATAL_ERROR "Halide was not found. `./lathe build` sets everything up; by hand: python3 -m venv .venv && "
                      ".venv/bin/pip install -r requirements.txt, or -DLATHE_HALIDE_ROOT=<folder with include/ and lib64/>")
endif()
add_library(Halide::Halide SHARED IMPORTED)
set_target_properties(Halide::Halide PROPERTIES IMPORTED_LOCATION ${LATHE_HALIDE_LIBRARY}
                                                INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${LATHE_HALIDE_INCLUDE})
target_include_directories(Halide::Halide SYSTEM INTERFACE ${LATHE_HALIDE_INCLUDE})
find_package(fmt REQUIRED)
# its headers alone: runtime/text.cpp is where the runtime compiles it
add_library(lathe_fmt INTERFACE)
target_include_directories(lathe_fmt SYSTEM INTERFACE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
find_package(CLI11 REQUIRED)
