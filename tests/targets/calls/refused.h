// What a call with tensors on a device refuses, and that it leaves the outputs alone then.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "elsewhere.h"
#include "support/inputs.h"

namespace elsewhere {

using support::Arguments;
using support::Problem;

inline Problem small(const std::string& variant = "plain") {
  return support::reals(support::two_heads(variant, 70), support::Type::F32, 5);
}

class Device : public testing::Test {
 protected:
  // Makes the call; `spoil` may change what is given to it.
  template <typename Spoil>
  void refused(const Problem& p, lathe_status wanted, const std::string& text, Spoil spoil) {
    const support::Context& context = support::shared_context(1);
    const Arguments arguments("causal", p);
    arguments.tensors.at(LATHE_O)->fill(7);
    {
      const Call call(context, arguments);
      lathe_exec exec = call.exec();
      spoil(arguments, exec);
      const lathe_status status = call.status() ? call.status() : support::run(context, call.plan(), arguments, &exec);
      EXPECT_EQ(status, wanted) << context.error();
      EXPECT_NE(context.error().find(text), std::string::npos) << context.error();
    }
    for (const double x : arguments.tensors.at(LATHE_O)->read()) EXPECT_EQ(x, 7);
  }
};

}  // namespace elsewhere
