// The library's test of itself passes on every row; that it would not pass on a wrong one, dispatch/broken_kernel_test
// shows.
#include <gtest/gtest.h>

#include <set>

#include "support/row.h"
#include "support/tolerance.h"

namespace {

using namespace support;

nlohmann::json self_test() {
  Context context(1);
  std::string text(1 << 16, '\0');
  size_t need = 0;
  EXPECT_EQ(lathe_self_test(context.get(), text.data(), text.size(), &need), LATHE_OK) << context.error();
  return nlohmann::json::parse(text.c_str());
}

TEST(Lessons, FastTransformers58FastTransformers117SelfTestPasses) {
  const nlohmann::json said = self_test();
  for (const auto& check : said.at("checks")) EXPECT_TRUE(check.at("fault").is_null()) << check;
  EXPECT_TRUE(pinned_row().empty() || said.at("target") == pinned_row()) << said.at("target");
}

TEST(SelfTest, LooksAtEverythingThatIsListed) {
  const nlohmann::json said = self_test();
  for (const auto& [what, key] :
       {std::pair{"ops", "op"}, {"variants", "variant"}, {"maps", "map"}, {"dtypes", "dtype"}}) {
    std::set<std::string> seen;
    for (const auto& check : said.at("checks")) seen.insert(check.at(key));
    for (const auto& entry : list(what)) {
      const std::string name = entry.is_string() ? entry : entry.at("name");
      EXPECT_TRUE(seen.contains(name)) << name;
    }
  }
}

TEST(SelfTest, NeedsNeitherContextNorText) {
  EXPECT_EQ(lathe_self_test(nullptr, nullptr, 0, nullptr), LATHE_OK) << lathe_last_error(nullptr);
}

}  // namespace
