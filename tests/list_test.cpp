// What the library says about itself, and that its choice of kernels can be pinned.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "support/inputs.h"
#include "support/row.h"
#include "support/tolerance.h"

namespace {

using namespace support;

std::set<std::string> names_of(const char* what) {
  std::set<std::string> names;
  for (const auto& entry : list(what)) names.insert(entry.is_string() ? entry : entry.at("name"));
  return names;
}

template <typename Table>
std::set<std::string> keys_of(const Table& table) {
  std::set<std::string> keys;
  for (const auto& entry : table) keys.insert(entry.first);
  return keys;
}

Problem small() {
  Problem p;
  p.map = "elu1";
  p.T = 20;
  return reals(p, Type::F32, 131);
}

#ifdef LATHE_IS_CUT
constexpr bool kCut = true;
#else
constexpr bool kCut = false;
#endif

// An operator, variant or map without an oracle; or an oracle without its kernel, unless the library was cut.
void expect_covered(const char* what, const std::set<std::string>& oracles) {
  const std::set<std::string> listed = names_of(what);
  for (const std::string& name : listed)
    EXPECT_TRUE(oracles.contains(name)) << what << ": " << name << " has no oracle";
  EXPECT_FALSE(listed.empty()) << what;
  if (kCut) return;
  EXPECT_EQ(listed, oracles) << what;
}

TEST(Lists, AreWhatTheOraclesCover) {
  const std::vector<std::string> maps = reference::map_names();
  expect_covered("maps", {maps.begin(), maps.end()});
  std::set<std::string> ops = keys_of(reference::operators());
  for (const char* op : {"causal", "noncausal"}) ops.insert(backward_of(op));
  expect_covered("ops", ops);
  expect_covered("variants", keys_of(reference::variants()));
  expect_covered("dtypes", {"f32", "f16", "bf16"});
}

TEST(Lists, NameTargetsAndKernels) {
  EXPECT_FALSE(names_of("targets").empty());
  EXPECT_FALSE(names_of("kernels").empty());
}

TEST(Lists, AreCutToTheRoomGiven) {
  size_t need = 0;
  ASSERT_EQ(lathe_list("maps", nullptr, 0, &need), LATHE_OK);
  ASSERT_GT(need, 4u);
  std::vector<char> whole(need, 'x'), cut(need, 'x');
  ASSERT_EQ(lathe_list("maps", whole.data(), need, &need), LATHE_OK);
  EXPECT_EQ(whole.back(), '\0');
  lathe_list("maps", cut.data(), 4, &need);
  EXPECT_EQ(need, whole.size());
  EXPECT_TRUE(std::equal(cut.begin(), cut.begin() + 3, whole.begin()));
  EXPECT_EQ(cut[3], '\0');
  EXPECT_EQ(cut[4], 'x');
}

TEST(Lists, RefuseOtherQuestions) {
  size_t need = 0;
  EXPECT_EQ(lathe_list("peers", nullptr, 0, &need), LATHE_INVALID);
  EXPECT_EQ(lathe_list(nullptr, nullptr, 0, &need), LATHE_INVALID);
}

TEST(Lessons, Transformers48718Mamba265TheChosenPathIsNamed) {
  const Arguments arguments("causal", small());
  const Plan plan(shared_context(1), arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << shared_context(1).error();
  const nlohmann::json said = plan.describe();
  ASSERT_TRUE(said.is_object()) << said;
  for (const char* key : {"chunk", "target", "kernels", "threads", "record"}) EXPECT_TRUE(said.contains(key)) << key;
  const auto kernels = names_of("kernels");
  ASSERT_FALSE(said.at("kernels").empty());
  for (const auto& kernel : said.at("kernels")) EXPECT_TRUE(kernels.contains(kernel.at("name"))) << kernel;
  EXPECT_TRUE(names_of("targets").contains(said.at("target"))) << said;
}

// The environment variable, put back at the end.
class Pin {
 public:
  explicit Pin(const std::string& row) { setenv("LATHE_TARGET", row.c_str(), 1); }
  ~Pin() {
    if (before_.empty())
      unsetenv("LATHE_TARGET");
    else
      setenv("LATHE_TARGET", before_.c_str(), 1);
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  std::string before_ = pinned_row();
};

struct Outcome {
  lathe_status status;
  std::string error, target;
};

Outcome with_row(const std::string& row) {
  const Pin pin(row);
  lathe_context* context = nullptr;
  Outcome outcome{lathe_context_create(nullptr, &context), "", ""};
  if (outcome.status == LATHE_OK) {
    const Arguments arguments("causal", small());
    const auto args = arguments.list();
    lathe_plan* plan = nullptr;
    outcome.status = lathe_plan_create(context, &arguments.desc, args.data(), args.size(), &plan);
    char text[4096] = "{}";
    size_t need = 0;
    if (outcome.status == LATHE_OK) lathe_describe(plan, text, sizeof text, &need);
    outcome.target = nlohmann::json::parse(text).value("target", "");
    lathe_plan_destroy(plan);
  }
  outcome.error = lathe_last_error(context);
  lathe_context_destroy(context);
  return outcome;
}

TEST(Dispatch, EveryRowCanBePinned) {
  for (const auto& target : list("targets")) {
    const std::string row = target.at("name");
    const bool built = target.at("kernels") > 0;
    const Outcome outcome = with_row(row);
    if (built && row_on_this_machine(row) == Row::Runs) {
      EXPECT_EQ(outcome.status, LATHE_OK) << outcome.error;
      EXPECT_EQ(outcome.target, row);
    } else {
      EXPECT_EQ(outcome.status, LATHE_UNSUPPORTED) << row;
      EXPECT_NE(outcome.error.find(row), std::string::npos) << outcome.error;
    }
  }
}

TEST(Dispatch, AnUnknownRowIsRefusedByName) {
  const Outcome outcome = with_row("avx1024");
  EXPECT_NE(outcome.status, LATHE_OK);
  EXPECT_NE(outcome.error.find("avx1024"), std::string::npos) << outcome.error;
}

TEST(Dispatch, ThePinOfThisRunTook) {
  if (pinned_row().empty()) return;
  const Arguments arguments("causal", small());
  const Plan plan(shared_context(1), arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << shared_context(1).error();
  EXPECT_EQ(plan.describe().value("target", ""), pinned_row());
}

}  // namespace
