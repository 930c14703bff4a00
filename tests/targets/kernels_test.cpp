// The kernels of a device row, called on the row's device: the causal operator in launches of all chunks and heads.
// Skipped where no device of the row answers.
#include <HalideBuffer.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "opencl.h"
#include "reference/reference.h"
#include "runtime/maps.h"
#include "runtime/registry.h"
#include "support/inputs.h"
#include "support/shape_table.h"

namespace {

using lathe::Entry;
using reference::Problem;

constexpr double kEpsilon = 0x1p-23;

const char* const row = lathe::registry().front().row;

const Entry& kernel(const char* name, const std::string& axis) {
  const Entry* found = lathe::find_kernel(row, name, axis);
  if (!found) throw std::logic_error(fmt::format("the row {} has no {} {}", row, name, axis));
  return *found;
}

int padded(int64_t n) {
  constexpr int64_t grain = 16;
  return static_cast<int>(std::max<int64_t>(1, (n + grain - 1) / grain) * grain);
}

// Dense numbers, in the host's memory and, once a kernel has seen them, on the device. The last two dimensions are
// items and heads. What all along a dimension share has an extent of 1 there, and a stride of 0.
template <typename Number>
class Buffer {
 public:
  explicit Buffer(const std::vector<int>& extents) : raw_(extents) {
    raw_.fill(Number(0));
    for (int d = 0; d < raw_.dimensions(); d++)
      if (raw_.dim(d).extent() == 1) raw_.raw_buffer()->dim[d].stride = 0;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  template <typename... Index>
  void put(double value, Index... at) {
    raw_(static_cast<int>(at)...) = static_cast<Number>(value);
    raw_.set_host_dirty();
  }
  template <typename... Index>
  double get(Index... at) {
    raw_.copy_to_host();
    return raw_(static_cast<int>(at)...);
  }
  bool on_device() const { return raw_.has_device_allocation(); }
  halide_buffer_t* address() { return raw_.raw_buffer(); }

 private:
  Halide::Runtime::Buffer<Number> raw_;
};
using Floats = Buffer<float>;

// The same numbers with their dimensions in other places, for kernels that only read them.
class View {
 public:
  // Dimension d of the view is dimensions[d] of the numbers; with kAlone it is one of its own, of extent 1.
  static constexpr int kAlone = -1;
  View(Floats& of, const std::vector<int>& dimensions) : raw_(*of.address()) {
    const halide_dimension_t* all = of.address()->dim;
    for (const int d : dimensions) dims_.push_back(d == kAlone ? halide_dimension_t(0, 1, 0) : all[d]);
    raw_.dimensions = static_cast<int>(dims_.size());
    raw_.dim = dims_.data();
  }
  halide_buffer_t* address() { return &raw_; }

 private:
  halide_buffer_t raw_;
  std::vector<halide_dimension_t> dims_;
};

template <typename Argument>
void* address_of(Argument& a) {
  if constexpr (requires { a.address(); })
    return a.address();
  else
    return &a;
}

template <typename... Arguments>
void call(const char* name, const std::string& axis, Arguments&... arguments) {
  void* argv[] = {address_of(arguments)...};
  ASSERT_EQ(kernel(name, axis).call(argv), 0) << name << " " << axis;
}

// One sequence of several heads, whose problems are alike but for their numbers. A launch takes all chunks of all
// heads. Everything past the real tokens and widths is zero, as the library pads.
class Walk {
 public:
  Walk(const std::vector<Problem>& problems, bool chunk_by_chunk)
      : p_(problems.front()),
        problems_(problems),
        chunk_by_chunk_(chunk_by_chunk),
        C_(static_cast<int>(kernel("causal", p_.variant).chunk)),
        items_(static_cast<int>((p_.T + C_ - 1) / C_)),
        H_(static_cast<int>(problems.size())),
        K_(static_cast<int>(reference::map_width(p_))),
        map_(*lathe::find_map(p_.map.c_str())),
        // maps of several parts move whole blocks of 16: they read a little past the width and write a little past K
        D16_(padded(p_.D + 16)),
        M16_(padded(p_.M)),
        K16_(padded(map_.last(p_.D, p_.M, attribute()) == K_ ? K_ : K_ + 15)),
        V16_(padded(p_.V)) {}

  std::vector<reference::Answer> run() {
    Floats q({K16_, C_, items_, H_}), k({K16_, C_, items_, H_}), v({V16_, C_, items_, H_});
    // tiles begin where their items do, and are zero past the rows that count
    Buffer<int32_t> at({1, 1}), counted({1, 1});
    counted.put(C_, 0, 0);
    map(&Problem::k, 1, k);
    map(&Problem::q, static_cast<float>(p_.scale), q);
    for (int h = 0; h < H_; h++)
      for (int t = 0; t < p_.T; t++)
        for (int e = 0; e < p_.V; e++) v.put(problems_[h].v[t * p_.V + e], e, t % C_, t / C_, h);
    Floats b({C_, 2, items_, H_}), left({1, items_, 1, H_});
    fill_gates(b, left);

    // the states that enter each chunk, and the one that is left: by what each adds to a state of zeros, or by a walk
    Floats zeros({V16_, K16_, 1, 1}), added({V16_, K16_, items_, H_}), h({V16_, K16_, items_ + 1, 1, H_});
    Floats no_sum({K16_, 1, 1}), added_sums({K16_, items_, H_}), z({K16_, 1, items_ + 1, 1, H_});
    Floats state({V16_, K16_, 1, H_}), sums({K16_, 1, 1, H_}), o({V16_, C_, items_, H_});
    for (int n = 0; n < H_; n++)
      for (int c = 0; c < K_; c++) {
        for (int e = 0; e < p_.V; e++)
          state.put(problems_[n].state.empty() ? 0 : problems_[n].state[c * p_.V + e], e, c, 0, n);
        sums.put(problems_[n].z.empty() ? 0 : problems_[n].z[c], c, 0, 0, n);
      }
    const bool decay = p_.variant == "decay";
    if (chunk_by_chunk_) {
      Buffer<int32_t> at_chunk({1, 1, 1}), counted_of_chunk({1, 1, 1});
      counted_of_chunk.put(C_, 0, 0, 0);
      const std::vector<int> by_chunks{0, 1, 2, View::kAlone, 3};
      View keys(k, by_chunks), values(v, by_chunks), sums_of_decays(b, by_chunks);
      if (decay)
        call("states_decay", "", keys, values, state, sums_of_decays, at_chunk, at_chunk, counted_of_chunk, h);
      else
        call("states", "", keys, values, state, at_chunk, at_chunk, counted_of_chunk, h);
    } else {
      if (decay)
        call("state", p_.variant, k, v, zeros, b, at, at, counted, added);
      else
        call("state", p_.variant, k, v, zeros, at, at, counted, added);
      View chunks(added, {0, 1, 2, View::kAlone, 3});
      call("carry", "", chunks, left, state, h);
    }
    if (decay)
      call("key_sum", p_.variant, k, no_sum, b, added_sums);
    else
      call("key_sum", p_.variant, k, no_sum, added_sums);
    View entering(h, {0, 1, 2, 4});

    float eps = static_cast<float>(p_.eps);
    int32_t at_least = p_.denom_max ? 1 : 0;
    if (p_.normalise) {
      View sum_chunks(added_sums, {0, View::kAlone, 1, View::kAlone, 2});
      call("carry", "", sum_chunks, left, sums, z);
      View sum_entering(z, {0, 2, 4});
      if (decay)
        call("causal_normalised", p_.variant, q, k, v, entering, sum_entering, eps, at_least, b, at, at, at, at,
             counted, counted, o);
      else
        call("causal_normalised", p_.variant, q, k, v, entering, sum_entering, eps, at_least, at, at, at, at, counted,
             counted, o);
    } else if (decay) {
      call("causal", p_.variant, q, k, v, entering, b, at, at, at, at, counted, counted, o);
    } else {
      call("causal", p_.variant, q, k, v, entering, at, at, at, at, counted, counted, o);
    }
    EXPECT_TRUE(o.on_device()) << "the kernel ran on the host";

    std::vector<reference::Answer> answers(problems_.size());
    for (int n = 0; n < H_; n++) {
      for (int t = 0; t < p_.T; t++)
        for (int e = 0; e < p_.V; e++) answers[n].o.push_back(o.get(e, t % C_, t / C_, n));
      for (int c = 0; c < K_; c++)
        for (int e = 0; e < p_.V; e++) answers[n].state.push_back(h.get(e, c, items_, 0, n));
      for (int c = 0; c < K_; c++) answers[n].z.push_back(z.get(c, 0, items_, 0, n));
    }
    return answers;
  }

 private:
  float attribute() const {
    const auto given = p_.attrs.find(map_.attribute);
    return static_cast<float>(given == p_.attrs.end() ? map_.fallback(p_.D) : given->second);
  }

  void map(std::vector<double> Problem::*rows, float scale, Floats& y) {
    Floats x({D16_, C_, items_, H_}), weights({M16_, D16_, 1, 1}), u({M16_, C_, items_, H_}), peaks({C_, items_, H_}),
        before({1, 1});
    Buffer<int32_t> at({1, 1}), valid({items_, 1}), position({items_, 1});
    for (int m = 0; m < p_.M; m++)
      for (int d = 0; d < p_.D; d++) weights.put(p_.projection[m * p_.D + d], m, d, 0, 0);
    for (int h = 0; h < H_; h++)
      for (int t = 0; t < p_.T; t++)
        for (int d = 0; d < p_.D; d++) x.put((problems_[h].*rows)[t * p_.D + d], d, t % C_, t / C_, h);
    for (int n = 0; n < items_; n++) {
      valid.put(std::min<double>(C_, static_cast<double>(p_.T) - n * C_), n, 0);
      position.put(n * C_, n, 0);
    }
    int32_t width = static_cast<int32_t>(p_.D), features = static_cast<int32_t>(p_.M), step = 1, subtract = 0;
    float number = attribute();
    std::vector<void*> argv;
    const auto add = [&](auto&... each) { (argv.push_back(address_of(each)), ...); };
    add(x, weights, width, features, valid, position, step, subtract, scale, number, before, at);
    if (map_.projects()) add(u);
    if (map_.stabilises()) add(peaks);
    add(y);
    ASSERT_EQ(kernel("map", p_.map).call(argv.data()), 0) << p_.map;
  }

  // Inclusive sums of a chunk's log decays as decay.h wants them, and what a chunk leaves of the state.
  void fill_gates(Floats& b, Floats& left) const {
    for (int h = 0; h < H_; h++)
      for (int n = 0; n < items_; n++) {
        const double each = p_.variant == "decay" ? problems_[h].decay[0] : 0;
        const auto tokens = static_cast<double>(p_.T);
        for (int i = 0; i < C_; i++) {
          const double doublings = each * std::min<double>(i + 1, tokens - n * C_) * std::numbers::log2e;
          b.put(std::round(doublings), i, 0, n, h);
          b.put(doublings - std::round(doublings), i, 1, n, h);
        }
        left.put(std::exp(each * std::min<double>(C_, tokens - n * C_)), 0, n, 0, h);
      }
  }

  const Problem& p_;
  const std::vector<Problem>& problems_;
  const bool chunk_by_chunk_;
  const int C_, items_, H_, K_;
  const lathe::FeatureMap& map_;
  const int D16_, M16_, K16_, V16_;
};

void compare(const std::vector<double>& got, const std::vector<double>& want, const std::vector<double>& size,
             double epsilons, const char* part) {
  ASSERT_EQ(got.size(), want.size()) << part;
  for (size_t i = 0; i < got.size(); i++)
    // written so that a NaN fails
    ASSERT_TRUE(std::abs(got[i] - want[i]) <= epsilons * kEpsilon * size[i] + 1e-37)
        << part << "[" << i << "] is " << got[i] << " and should be " << want[i] << ", size " << size[i];
}

// Heads of one call. With no epsilons allowed: to the bit.
void check(const std::vector<Problem>& heads, double epsilons) {
  const Problem& p = heads.front();
  for (const bool chunk_by_chunk : {false, true}) {
    SCOPED_TRACE(fmt::format("{} {} T={} D={} V={} normalise={} chunk_by_chunk={}", p.variant, p.map, p.T, p.D, p.V,
                             p.normalise, chunk_by_chunk));
    const std::vector<reference::Answer> got = Walk(heads, chunk_by_chunk).run();
    for (size_t h = 0; h < heads.size(); h++) {
      const reference::Answers want = reference::causal(heads[h]);
      compare(got[h].o, want.value.o, want.size.o, epsilons, "o");
      compare(got[h].state, want.value.state, want.size.state, epsilons, "state");
      if (p.normalise) compare(got[h].z, want.value.z, want.size.z, epsilons, "z");
    }
  }
}

class Variant : public testing::TestWithParam<const char*> {
 protected:
  Problem problem = [] {
    Problem p;
    p.variant = GetParam();
    p.D = 20;
    p.V = 25;
    return p;
  }();
};

TEST_P(Variant, ExactOnIntegers) {
  const int64_t C = kernel("causal", problem.variant).chunk;
  for (const int64_t T : support::token_counts(C)) {
    if (T == 0) continue;  // the runtime's business: no kernel is called
    problem.T = T;
    check({support::integers(problem, 2, 1, true), support::integers(problem, 2, 7, true)}, 0);
  }
}

TEST_P(Variant, Normalised) {
  problem.T = 2 * kernel("causal", problem.variant).chunk + 5;
  problem.normalise = true;
  problem.eps = 1e-6;
  problem.map = "elu1";
  check({support::reals(problem, support::Type::F32, 2, true), support::reals(problem, support::Type::F32, 5, true)},
        256);
}

INSTANTIATE_TEST_SUITE_P(Causal, Variant, testing::Values("plain", "decay"),
                         [](const auto& test) { return test.param; });

TEST(Maps, AllOfThem) {
  for (const lathe::FeatureMap& map : lathe::feature_maps()) {
    Problem p;
    p.T = kernel("causal", "plain").chunk + 3;
    p.D = 20;
    p.V = 17;
    check({support::reals(support::with_map(p, map.name), support::Type::F32, 3)}, 256);
  }
}

}  // namespace
