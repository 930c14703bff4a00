// What a processor and its system say of themselves. Asked of them, never of Halide, whose own test is wrong for
// several rows (it does not check that the system saves the wide registers). Plain data: any processor can be written
// down.
#pragma once

#include <cstdint>
#include <string_view>

namespace lathe {

struct Processor {
  enum class Architecture { kX86, kArm } architecture = Architecture::kX86;
  // x86: CPUID's vendor, registers by leaf (and subleaf), and the state components that the system saves (XCR0).
  char vendor[12] = {};
  uint32_t leaf1_eax = 0, leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_edx = 0, leaf7_1_eax = 0;
  uint64_t saved = 0;
  // ARM: the system's AT_HWCAP.
  uint64_t hwcap = 0;

  bool is_amd() const { return std::string_view(vendor, sizeof vendor) == "AuthenticAMD"; }
};

// The one that this program runs on, read once.
const Processor& this_processor();

}  // namespace lathe
