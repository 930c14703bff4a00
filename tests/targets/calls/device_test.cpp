// What every device refuses.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host.h"
#include "refused.h"
#include "support/tolerance.h"

namespace elsewhere {

namespace {

TEST_F(Device, WantsAWorkspace) {
  refused(small(), LATHE_WORKSPACE, "the library allocates none there",
          [](auto&, lathe_exec& exec) { exec.workspace = nullptr; });
  refused(small(), LATHE_WORKSPACE, "exec.workspace", [](auto&, lathe_exec& exec) { exec.workspace_bytes--; });
  refused(small(), LATHE_WORKSPACE, "that of Q",
          [](const Arguments& a, lathe_exec& exec) { exec.workspace = a.tensors.at(LATHE_Q)->view.data; });
}

TEST_F(Device, WantsAllTensorsTogether) {
  refused(small(), LATHE_INVALID, fmt::format("expected device type {} as of Q, got 1", host()->device_type()),
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_K)->view.device_type = 1; });
}

TEST_F(Device, WantsWholeNumbersOfTheHost) {
  Problem p = small();
  p.lengths = {50};
  refused(p, LATHE_INVALID, "LENGTHS: expected CPU memory", [](const Arguments& a, lathe_exec&) {
    a.tensors.at(LATHE_LENGTHS)->view.device_type = host()->device_type();
  });
}

TEST_F(Device, WantsHandlesAndWholeElements) {
  refused(small(), LATHE_INVALID, "K: expected a byte_offset in multiples",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_K)->view.byte_offset += 2; });
  refused(small(), LATHE_INVALID, "Q: expected the handle",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_Q)->view.data = nullptr; });
}

TEST_F(Device, SaysWhatItDoesNotComputeYet) {
  Problem p = small();
  p.stabilise = true;
  p = support::reals(support::with_map(p, "favor_performer"), support::Type::F32, 5);
  const support::Given given = support::given_reals(p, support::Type::F32, 6, false);
  const support::Context& context = support::shared_context(1);
  const Arguments arguments(support::backward_of("causal"), p, {}, &given);
  EXPECT_EQ(Call(context, arguments).status(), LATHE_UNSUPPORTED);
  EXPECT_NE(context.error().find("STABILISE"), std::string::npos) << context.error();
}

// Keys or queries, under a scale and with an eps that count; heads share keys.
TEST_F(Device, TakesRowsOfLengthOne) {
  for (const char* variant : {"delta", "gated_delta", "kda"})
    for (const bool queries : {false, true}) {
      Problem p = support::two_heads(variant, 5);
      p.HQ = p.HV = 4;
      p.map = "elu1";
      p.scale = 0.3;
      p.eps = 0.5;
      (queries ? p.unit_queries : p.unit_keys) = true;
      for (const char* op : {"causal", "decode"}) support::check(op, support::reals(p, support::Type::BF16, 7, true));
    }
}

TEST_F(Device, TakesBetasThroughASigmoid) {
  for (const bool reflects : {false, true}) {
    Problem p = support::two_heads("gated_delta", 5);
    p.sigmoid = true;
    p.reflects = reflects;
    for (const char* op : {"causal", "decode"}) support::check(op, support::reals(p, support::Type::F32, 7, true));
  }
}

// Widths and strides of whole vectors, in every layout: rows that no copy is made of, of chunks that are not full, and
// some that belong to nobody.
TEST_F(Device, ReadsRowsInPlace) {
  for (const char* map : {"identity", "elu1"})
    for (const support::Layout layout :
         {support::Layout::Bthd, support::Layout::Bhtd, support::Layout::Gapped, support::Layout::Reversed}) {
      Problem p = support::two_heads(layout == support::Layout::Bhtd ? "decay" : "plain", 70);
      p.map = map;
      p.B = 2;
      p.D = 32;
      p.V = 48;
      p.HQ = p.HV = 4;
      p.normalise = p.map == "elu1" && p.variant == "plain";
      p.eps = 1e-6;
      support::Options options;
      options.layout = layout;
      support::check("causal", support::reals(p, support::Type::F32, 5, true), options);
      p.lengths = {3, 66};
      support::check("causal", support::reals(p, support::Type::F32, 5, true), options);
      p.lengths.clear();
      p.B = 1;
      p.cu_seqlens = {0, 3, 3, 70};
      support::check("causal", support::reals(p, support::Type::F32, 5, true), options);
    }
}

// Of three sequences one has no token, and hands its state on.
void decode_in_place(Problem p, int64_t tokens, const support::Options& options) {
  p.B = 3;
  p.lengths = {tokens, 0, (tokens + 1) / 2};
  p.state_rows = 5;
  p.slots = {4, 0, 3};
  support::check("decode", support::reals(p, options.type, 5, true), options);
  p.lengths.clear();
  support::check("decode", support::reals(p, options.type, 5, true), options);
  p.slots.clear();
  p.state_rows = -1;
  support::check("decode", support::reals(p, options.type, 5, false), options);
  p.B = 1;
  p.T = 2 * tokens;
  p.cu_seqlens = {0, tokens, tokens, 2 * tokens};
  support::check("decode", support::reals(p, options.type, 5, true), options);
}

support::Options states_in_place(bool in_place) {
  support::Options options;
  options.layout = in_place ? support::Layout::Reversed : support::Layout::Gapped;
  options.in_place = in_place;
  return options;
}

// With 96 keys threads go round twice and the second time not all, and 80 values are more than a block has; keys that
// are no multiple of 16 want tiles.
TEST_F(Device, DecodesStatesInPlace) {
  for (const char* variant : {"plain", "gate", "gate_key", "momentum", "delta", "kda", "rwkv7"})
    for (const bool in_place : {false, true})
      for (const int64_t keys : {16, 24, 48, 96})
        for (const int64_t tokens : {1, 3}) {
          Problem p = support::two_heads(variant, tokens);
          p.D = keys;
          p.V = 80;
          p.HQ = 4;
          decode_in_place(p, tokens, states_in_place(in_place));
        }
}

// A token that a sequence has not leaves its snapshot as it is.
void expect_snapshots(const Problem& p, const support::Options& options) {
  support::Answer got = support::call("decode", p, options);
  const auto each = got.snapshots.size() / static_cast<size_t>(p.B * p.T);
  for (size_t b = 0; b < p.lengths.size(); b++)
    for (int64_t t = p.lengths[b]; t < p.T; t++) {
      const auto from = got.snapshots.begin() +
                        static_cast<std::ptrdiff_t>((b * static_cast<size_t>(p.T) + static_cast<size_t>(t)) * each);
      const auto end = from + static_cast<std::ptrdiff_t>(each);
      EXPECT_TRUE(std::all_of(from, end, [](double x) { return std::isnan(x); })) << b << ", " << t;
      std::fill(from, end, 0);
    }
  support::expect_answer(got, "decode", p, options);
}

// Whatever lies where the caller has it.
TEST_F(Device, HandsOnTheStateAfterEachToken) {
  for (const char* variant : {"plain", "gate_key", "momentum", "rwkv6"})
    for (const bool in_place : {false, true})
      for (const int64_t tokens : {1, 3}) {
        const support::Options options = states_in_place(in_place);
        Problem p = support::two_heads(variant, tokens);
        p.D = 16;
        p.V = 32;
        p.HQ = 4;
        p.B = 3;
        p.snapshots = true;
        expect_snapshots(support::reals(p, support::Type::F32, 5, true), options);
        p.lengths = {tokens, 0, (tokens + 1) / 2};
        p.state_rows = 5;
        p.slots = {4, 0, 3};
        expect_snapshots(support::reals(p, support::Type::F32, 5, true), options);
        p.lengths.clear();
        p.B = 1;
        p.T = 2 * tokens + 1;
        p.cu_seqlens = {0, tokens, tokens, 2 * tokens + 1};
        expect_snapshots(support::reals(p, support::Type::F32, 5, true), options);
      }
}

// Those of a token are rows of one item: some of a tile's rows, or of its second's.
TEST_F(Device, DecodesHeadsAsRows) {
  for (const char* variant : {"plain", "decay", "gate", "gate_key", "kda", "rwkv6"})
    for (const char* map : {"identity", "elu1", "taylor2"})
      for (const int64_t heads : {3, 20})
        for (const bool in_place : {false, true}) {
          Problem p = support::two_heads(variant, 1);
          p.HQ = p.HK = p.HV = heads;
          p.D = heads == 3 ? 16 : 5;
          p.V = 32;
          p.map = map;
          p.normalise = p.variant == "plain" || p.variant == "decay" || p.variant == "gate";
          p.eps = 1e-6;
          support::Options options = states_in_place(in_place);
          decode_in_place(p, 1, options);
          p.unit_keys = p.unit_queries = p.variant == "kda";
          options.type = support::Type::BF16;
          decode_in_place(p, 1, options);
        }
}

// All of them at the position of their token.
TEST_F(Device, MapsHeadsAsRows) {
  for (const std::string& map : reference::map_names()) {
    Problem p = support::two_heads("decay", 1);
    p.HQ = p.HK = p.HV = 3;
    p.B = 2;
    p.position = {7, 2};
    p.normalise = true;
    p.eps = 1e-6;
    p = support::with_map(p, map);
    support::check("decode", support::reals(p, support::Type::F32, 5, true));
  }
}

TEST_F(Device, CopiesNoStatesThatLieByVectors) {
  Problem p = support::two_heads("plain", 1);
  p.B = 3;
  p.D = p.V = 64;
  const Arguments arguments("decode", support::reals(p, support::Type::F32, 5, true));
  const support::Context& context = support::shared_context(1);
  const Call call(context, arguments);
  ASSERT_EQ(support::run(context, call.plan(), arguments, &call.exec()), LATHE_OK) << context.error();
  EXPECT_GE(call.untouched(), 2 * arguments.tensors.at(LATHE_STATE_IN)->bytes().size());
}

// A number further on, values are not where vectors begin.
TEST_F(Device, CopiesRowsThatBeginBetweenVectors) {
  Problem p = support::two_heads("plain", 70);
  p.D = 16;
  p.V = 32;
  p = support::integers(p, 2, 3);
  const std::vector<double> whole = support::call("causal", p).o;
  const support::Context& context = support::shared_context(1);
  const Arguments arguments("causal", p);
  {
    const Call call(context, arguments);
    arguments.tensors.at(LATHE_V)->view.byte_offset += sizeof(float);
    ASSERT_EQ(support::run(context, call.plan(), arguments, &call.exec()), LATHE_OK) << context.error();
  }
  const std::vector<double> moved = arguments.outputs().o;
  for (size_t i = 0; i + 1 < whole.size(); i++)
    if ((i + 1) % 32 != 0) {
      ASSERT_EQ(moved[i], whole[i + 1]) << i;
    }
}

// A gate above 0 cannot be seen from here; clamped it counts as 0.
TEST_F(Device, ClampsGates) {
  for (const char* variant : {"decay", "gate", "gate_key", "rwkv7", "gated_delta"}) {
    Problem p = small(variant);
    p.clamp = true;
    for (std::vector<double>* gates : {&p.decay, &p.gate})
      if (!gates->empty()) gates->front() = 0.5;
    support::check("causal", p);
    support::check("decode", support::tokens_of(p, 0, 3, nullptr));
  }
}

TEST_F(Device, ClampsBetas) {
  for (const bool reflects : {false, true}) {
    Problem p = support::two_heads("kda", 5);
    p.clamp = p.unit_keys = true;
    p.reflects = reflects;
    p = support::reals(p, support::Type::F32, 7, true);
    for (double& beta : p.beta) beta = support::rounded(support::Type::F32, 6 * beta - 2);
    for (const char* op : {"causal", "decode"}) support::check(op, p);
  }
}

}  // namespace

}  // namespace elsewhere
