# Toolchain: 64-bit ARM Linux from another machine, tests under qemu. Debian: g++-aarch64-linux-gnu qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
# header-only here, but Debian files its package under the building machine's architecture
file(GLOB fmt_DIR /usr/lib/*-linux-gnu/cmake/fmt)
