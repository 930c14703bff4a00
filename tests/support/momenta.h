// What the tests of variants with a momentum ask alike.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "support/call.h"
#include "support/row.h"

namespace support {

// The shape with a normaliser, for query and value heads that share keys in either order.
template <typename Visit>
void with_heads_that_share_keys(reference::Problem p, Visit visit) {
  p.map = "elu1";
  p.normalise = true;
  p.eps = 1e-6;
  for (const auto& [HQ, HV] : {std::pair<int64_t, int64_t>{2, 4}, {2, 6}, {6, 2}})
    for (const bool tiled : {false, true}) {
      p.HQ = HQ;
      p.HV = HV;
      p.tiled = tiled;
      visit(p);
    }
}

// Either without the others is refused.
inline void expect_together(const reference::Problem& p, std::initializer_list<uint32_t> roles) {
  for (const uint32_t role : roles)
    for (const char* op : {"causal", "decode"}) {
      Arguments arguments(op, p);
      arguments.tensors.erase(role);
      EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_INVALID) << role;
      EXPECT_NE(shared_context(1).error().find("together"), std::string::npos) << shared_context(1).error();
    }
}

// When it is planned or when it is run.
inline void expect_refused(const Arguments& arguments, lathe_status status, const char* word) {
  const Context& context = shared_context(1);
  const Plan plan(context, arguments);
  EXPECT_EQ(plan.status == LATHE_OK ? run(context, plan, arguments) : plan.status, status) << word;
  EXPECT_NE(context.error().find(word), std::string::npos) << context.error();
}

}  // namespace support
