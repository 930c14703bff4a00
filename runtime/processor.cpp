#include "processor.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace lathe {

namespace {

#if defined(__x86_64__)

struct Leaf {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};
Leaf cpuid(uint32_t leaf, uint32_t sub) {
  Leaf r;
  __get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d);
  return r;
}

Processor read() {
  Processor p;
  const Leaf zero = cpuid(0, 0), one = cpuid(1, 0), seven = cpuid(7, 0), seven1 = cpuid(7, 1);
  std::memcpy(p.vendor, &zero.b, 4);
  std::memcpy(p.vendor + 4, &zero.d, 4);
  std::memcpy(p.vendor + 8, &zero.c, 4);
  p.leaf1_eax = one.a;
  p.leaf1_ecx = one.c;
  p.leaf7_ebx = seven.b;
  p.leaf7_ecx = seven.c;
  p.leaf7_edx = seven.d;
  p.leaf7_1_eax = seven1.a;
  // without OSXSAVE the instruction itself is missing, and the system saves nothing wide
  uint32_t low = 0, high = 0;
  if (one.c >> 27 & 1) __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  p.saved = uint64_t{high} << 32 | low;
  return p;
}

#elif defined(__aarch64__)

Processor read() {
  Processor p;
  p.architecture = Processor::Architecture::kArm;
  p.hwcap = getauxval(AT_HWCAP);
  return p;
}

#else
#error "lathe knows x86-64 and aarch64"
#endif

}  // namespace

const Processor& this_processor() {
  static const Processor processor = read();
  return processor;
}

}  // namespace lathe
