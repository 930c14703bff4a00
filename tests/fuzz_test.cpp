// Problems drawn at random against the oracles; a failure is shrunk to the smallest problem that still fails.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

template <typename T>
T one_of(const std::vector<T>& values) {
  return *rc::gen::elementOf(values);
}
int64_t between(int64_t low, int64_t high) { return *rc::gen::inRange<int64_t>(low, high + 1); }
bool either() { return *rc::gen::arbitrary<bool>(); }

struct Drawn {
  std::string op;
  Problem problem;
  Options options;
};

void draw_heads(Problem& p) {
  p.HK = between(1, 2);
  const int64_t group = between(1, 3), side = between(0, 2);
  p.HQ = p.HK * (side == 1 ? 1 : group);
  p.HV = p.HK * (side == 0 ? 1 : group);
  p.tiled = either();
}

// Rows with lengths, sequences end to end, or neither; and state rows in another order or not.
void draw_sequences(Problem& p) {
  const int64_t kind = between(0, 2);
  if (kind == 1)
    for (int64_t b = 0; b < p.B; ++b) p.lengths.push_back(between(0, p.T));
  if (kind == 2) {
    p.B = 1;
    p.cu_seqlens = {0};
    while (p.cu_seqlens.back() < p.T) p.cu_seqlens.push_back(between(p.cu_seqlens.back(), p.T));
  }
  if (p.sequences() == 0 || !either()) return;
  p.state_rows = p.sequences() + between(0, 2);
  for (int64_t n = 0; n < p.sequences(); ++n) p.slots.push_back(p.state_rows - 1 - n);
}

Drawn draw() {
  Drawn d;
  Problem& p = d.problem;
  Options& o = d.options;
  d.op = one_of<std::string>({"causal", "noncausal", "accumulate", "readout", "decode"});
  p.B = between(0, 3);
  p.T = between(0, d.op == "decode" ? 6 : 150);
  p.D = between(1, 70);
  p.V = between(1, 70);
  draw_heads(p);
  draw_sequences(p);
  p.normalise = either();
  p.eps = 1e-6;
  if ((d.op == "causal" || d.op == "decode") && (p.HV == p.HK || !p.normalise))
    p.variant = one_of(d.op == "decode" ? reference::recurrent_variants() : reference::variant_names());
  if (reference::variants().at(p.variant).takes_beta) {
    p.unit_keys = either();
    p.unit_queries = either();
    p.sigmoid = either();
    p.reflects = either();
  }
  if (d.op != "readout" && either()) {
    p.keys = between(2, 3);
    p.mix_first = either();
  }
  p = with_map(p, one_of(reference::map_names()));
  p.scale = one_of<double>({1, 0.125, 3});
  if (d.op == "noncausal" && p.cu_seqlens.empty() && either()) p.TQ = between(0, 20);
  o.type = one_of<Type>({Type::F32, Type::F16, Type::BF16});
  o.layout = one_of<Layout>({Layout::Bthd, Layout::Bhtd, Layout::Gapped, Layout::Reversed});
  o.edge = either() ? Edge::First : Edge::Last;
  o.threads = static_cast<int>(between(1, 2));
  o.in_place = d.op != "readout" && either();
  p = reals(p, o.type, static_cast<uint64_t>(between(1, 1000)), either());
  return d;
}

TEST(Fuzz, AnyProblemIsTheOracles) {
  setenv("RC_PARAMS", "seed=1 max_success=400", 0);
  EXPECT_TRUE(rc::check([] {
    const Drawn d = draw();
    RC_LOG(Arguments(d.op, d.problem, d.options).text());
    RC_ASSERT(worst_error(call(d.op, d.problem, d.options), reference::operators().at(d.op)(d.problem),
                          d.options.type) <= epsilons_of(d.problem));
  }));
}

}  // namespace
