// What a call with tensors on a device refuses, and that it leaves the outputs alone then.
#include <gtest/gtest.h>

#include "elsewhere.h"
#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem small(const std::string& variant = "plain") { return reals(two_heads(variant, 70), Type::F32, 5); }

class Device : public testing::Test {
 protected:
  // Makes the call; `spoil` may change what is given to it.
  template <typename Spoil>
  void refused(const Problem& p, lathe_status wanted, const std::string& text, Spoil spoil) {
    const Context& context = shared_context(1);
    const Arguments arguments("causal", p);
    arguments.tensors.at(LATHE_O)->fill(7);
    {
      const opencl::Call call(context, arguments);
      lathe_exec exec = call.exec();
      spoil(arguments, exec);
      const lathe_status status = call.status() ? call.status() : run(context, call.plan(), arguments, &exec);
      EXPECT_EQ(status, wanted) << context.error();
      EXPECT_NE(context.error().find(text), std::string::npos) << context.error();
    }
    for (const double x : arguments.tensors.at(LATHE_O)->read()) EXPECT_EQ(x, 7);
  }
};

TEST_F(Device, WantsAQueue) {
  refused(small(), LATHE_INVALID, "exec.stream", [](auto&, lathe_exec& exec) { exec.stream = nullptr; });
}

TEST_F(Device, WantsTheQueuesContext) {
  refused(small(), LATHE_INVALID, "exec.device_context", [](auto&, lathe_exec& exec) { exec.device_context = &exec; });
}

TEST_F(Device, WantsAWorkspace) {
  refused(small(), LATHE_WORKSPACE, "allocates nothing on a device",
          [](auto&, lathe_exec& exec) { exec.workspace = nullptr; });
  refused(small(), LATHE_WORKSPACE, "exec.workspace", [](auto&, lathe_exec& exec) { exec.workspace_bytes--; });
  refused(small(), LATHE_WORKSPACE, "that of Q",
          [](const Arguments& a, lathe_exec& exec) { exec.workspace = a.tensors.at(LATHE_Q)->view.data; });
}

TEST_F(Device, WantsAllTensorsTogether) {
  refused(small(), LATHE_INVALID, "expected device type 4 as of Q, got 1",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_K)->view.device_type = 1; });
}

TEST_F(Device, WantsWholeNumbersOfTheHost) {
  Problem p = small();
  p.lengths = {50};
  refused(p, LATHE_INVALID, "LENGTHS: expected CPU memory",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_LENGTHS)->view.device_type = 4; });
}

TEST_F(Device, WantsMemoryThatHoldsTheTensor) {
  refused(small(), LATHE_INVALID, "V: expected a cl_mem of at least",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_V)->view.byte_offset += 4096; });
  refused(small(), LATHE_INVALID, "K: expected a byte_offset in multiples",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_K)->view.byte_offset += 2; });
  refused(small(), LATHE_INVALID, "Q: expected the handle",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_Q)->view.data = nullptr; });
}

TEST_F(Device, SaysWhatItDoesNotComputeYet) {
  for (const auto& [variant, what] : {std::pair{"gate_key", "gates for each key"},
                                      {"ssd", "steps"},
                                      {"delta", "the delta rule"},
                                      {"momentum", "momentum"}})
    refused(small(variant), LATHE_UNSUPPORTED, what, [](auto&, lathe_exec&) {});
}

// A gate above 0 cannot be seen from here; clamped it counts as 0.
TEST_F(Device, ClampsGates) {
  for (const char* variant : {"decay", "gate"}) {
    Problem p = small(variant);
    p.clamp = true;
    for (std::vector<double>* gates : {&p.decay, &p.gate})
      if (!gates->empty()) gates->front() = 0.5;
    check("causal", p);
    check("decode", tokens_of(p, 0, 3, nullptr));
  }
}

}  // namespace
