// What all launches of a decode move, as the interpreter of PTX counts it, beside what any decode must: the tensors of
// the call, once each.
#include <dlfcn.h>
#include <fmt/format.h>

#include "elsewhere.h"
#include "refused.h"
#include "support/tolerance.h"

namespace elsewhere {

namespace {

using Count = void(unsigned long long*, unsigned long long*);

// nullptr where the machine's own driver answers.
Count* count() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  return library ? reinterpret_cast<Count*>(dlsym(library, "lathe_moved")) : nullptr;
}

struct Case {
  const char *variant, *map;
  bool normalise;
  int64_t width;
};

double compulsory_share(const Case& c, Count* moved) {
  Problem p = support::two_heads(c.variant, 1);
  p.B = 8;
  p.HQ = p.HK = p.HV = 16;
  p.D = p.V = c.width;
  p.map = c.map;
  p.normalise = c.normalise;
  p.eps = 1e-6;
  support::Options options;
  options.in_place = true;
  const Arguments arguments("decode", support::reals(p, support::Type::F32, 5, true), options);
  // a state that leaves where it entered moves twice
  unsigned long long must = 0, by_launches = 0, by_blocks = 0;
  for (const auto& [role, tensor] : arguments.tensors) must += tensor->bytes().size();
  const support::Context& context = support::shared_context(1);
  const Call call(context, arguments, options);
  moved(&by_launches, &by_blocks);
  EXPECT_EQ(support::run(context, call.plan(), arguments, &call.exec()), LATHE_OK) << context.error();
  moved(&by_launches, &by_blocks);
  const auto heads = static_cast<unsigned long long>(p.B * p.HK);
  fmt::print("{} {}{} K = V = {}: {} of {} bytes for each head, {} by blocks\n", c.variant, c.map,
             c.normalise ? " normalised" : "", c.width, must / heads, by_launches / heads, by_blocks / heads);
  return static_cast<double>(must) / static_cast<double>(by_launches);
}

TEST_F(Device, DecodesMoveWhatTheyMust) {
  Count* const moved = count();
  if (!moved) GTEST_SKIP() << "the machine's own driver counts no bytes";
  for (const int64_t width : {64, 128})
    for (const char* map : {"identity", "elu1"}) {
      for (const char* variant :
           {"plain", "decay", "gate", "gate_key", "delta", "gated_delta", "kda", "rwkv6", "rwkv7"})
        EXPECT_GE(compulsory_share({variant, map, false, width}, moved), 0.95);
      for (const char* variant : {"plain", "decay", "gate"})
        EXPECT_GE(compulsory_share({variant, map, true, width}, moved), 0.95);
    }
}

}  // namespace

}  // namespace elsewhere
