// A server decodes for months: a million calls take no more memory than a thousand.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "refusing.h"
#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

long resident_pages() {
  long total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident;
}

TEST(MillionDecodes, DoNotGrow) {
  if (!std::ifstream("/proc/self/statm")) GTEST_SKIP() << "no /proc/self/statm to tell the resident memory from";
  Problem p;
  p.variant = "decay";
  p.map = "elu1";
  p.D = p.V = 8;
  p.normalise = true;
  p = reals(p, Type::F32, 211, true);
  Options options;
  options.in_place = true;
  const Arguments arguments("decode", p, options);
  const Context context(1);
  const Plan plan(context, arguments);
  const std::vector<lathe_arg> args = arguments.list();
  const auto decode = [&](int n) {
    for (int i = 0; i < n; ++i)
      if (lathe_run(context.get(), plan.get(), args.data(), args.size(), nullptr) != LATHE_OK) return false;
    return true;
  };
  ASSERT_TRUE(decode(1000)) << context.error();
  const long pages = resident_pages(), requests = refusing::requests();
  ASSERT_TRUE(decode(1000 * 1000)) << context.error();
  EXPECT_EQ(refusing::requests(), requests);
  // a byte lost in each call would be 240 pages
  EXPECT_LT(resident_pages(), pages + 60);

  // the same token for ever: the state is k v / (1 - a), and what is read from it is v
  const Answer got = arguments.outputs();
  for (size_t i = 0; i < got.o.size(); ++i) EXPECT_NEAR(got.o[i], p.v[i], 1e-4 * (1 + std::abs(p.v[i])));
}

}  // namespace
