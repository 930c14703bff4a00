// The kernels of a device row, called one by one on the row's device as the library would call them: chunk after chunk
// of the causal operator. Skipped where no device of the row answers.
#include <HalideBuffer.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

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

int64_t padded(int64_t n) {
  constexpr int64_t grain = 16;
  return std::max<int64_t>(1, (n + grain - 1) / grain) * grain;
}

// Dense rows of float32, in the host's memory and, once a kernel has seen them, on the device.
class Buffer {
 public:
  Buffer(int64_t width, int64_t rows) : raw_(static_cast<int>(width), static_cast<int>(rows)) { raw_.fill(0.f); }
  explicit Buffer(int64_t width) : raw_(static_cast<int>(width)) { raw_.fill(0.f); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  template <typename... Index>
  void put(double value, Index... at) {
    raw_(static_cast<int>(at)...) = static_cast<float>(value);
    raw_.set_host_dirty();
  }
  template <typename... Index>
  double get(Index... at) {
    raw_.copy_to_host();
    return raw_(static_cast<int>(at)...);
  }
  bool on_device() const { return raw_.has_device_allocation(); }
  void swap(Buffer& other) { std::swap(raw_, other.raw_); }
  void* address() { return raw_.raw_buffer(); }

 private:
  Halide::Runtime::Buffer<float> raw_;
};

void* address_of(Buffer& b) { return b.address(); }
template <typename Number>
void* address_of(Number& n) {
  return &n;
}

void call(const char* name, const std::string& axis, std::vector<void*>& argv) {
  ASSERT_EQ(kernel(name, axis).call(argv.data()), 0) << name << " " << axis;
}

// One sequence, one head. Everything past the real tokens and widths is zero, as the library pads.
class Walk {
 public:
  explicit Walk(const Problem& p)
      : p_(p),
        C_(kernel("causal", p.variant).chunk),
        K_(reference::map_width(p)),
        map_(*lathe::find_map(p.map.c_str())),
        // maps of several parts move whole blocks of 16: they read a little past the width and write a little past K
        D16_(padded(p.D + 16)),
        M16_(padded(p.M)),
        K16_(padded(map_.last(p.D, p.M, attribute()) == K_ ? K_ : K_ + 15)),
        V16_(padded(p.V)),
        x_(D16_, C_),
        weights_(M16_, D16_),
        u_(M16_, C_),
        peaks_(C_),
        q_(K16_, C_),
        k_(K16_, C_),
        kt_(C_, K16_),
        v_(V16_, C_),
        b_(C_, 2),
        o_(V16_, C_),
        h_(V16_, K16_),
        next_h_(V16_, K16_),
        z_(K16_),
        next_z_(K16_) {
    for (int64_t m = 0; m < p.M; m++)
      for (int64_t d = 0; d < p.D; d++) weights_.put(p.projection[m * p.D + d], m, d);
    for (int64_t c = 0; c < K_; c++)
      for (int64_t e = 0; e < p.V; e++) h_.put(p.state.empty() ? 0 : p.state[c * p.V + e], e, c);
    for (int64_t c = 0; c < K_; c++) z_.put(p.z.empty() ? 0 : p.z[c], c);
  }

  reference::Answer run() {
    for (int64_t t = 0; t < p_.T; t += C_) chunk(t, std::min(C_, p_.T - t));
    for (int64_t c = 0; c < K_; c++)
      for (int64_t e = 0; e < p_.V; e++) answer_.state.push_back(h_.get(e, c));
    for (int64_t c = 0; c < K_; c++) answer_.z.push_back(z_.get(c));
    return answer_;
  }

 private:
  float attribute() const {
    const auto given = p_.attrs.find(map_.attribute);
    return static_cast<float>(given == p_.attrs.end() ? map_.fallback(p_.D) : given->second);
  }

  void map(const std::vector<double>& rows, int64_t t, int64_t valid, float scale, Buffer& y) {
    for (int64_t i = 0; i < C_; i++)
      for (int64_t d = 0; d < p_.D; d++) x_.put(i < valid ? rows[(t + i) * p_.D + d] : 0, d, i);
    int32_t width = static_cast<int32_t>(p_.D), features = static_cast<int32_t>(p_.M);
    int32_t real = static_cast<int32_t>(valid), position = static_cast<int32_t>(t), step = 1, subtract = 0;
    float number = attribute(), peak_before = 0;
    std::vector<void*> argv{address_of(x_),    address_of(weights_), address_of(width),      address_of(features),
                            address_of(real),  address_of(position), address_of(step),       address_of(subtract),
                            address_of(scale), address_of(number),   address_of(peak_before)};
    if (map_.projects()) argv.push_back(address_of(u_));
    if (map_.stabilises()) argv.push_back(address_of(peaks_));
    argv.push_back(address_of(y));
    call("map", p_.map, argv);
  }

  void chunk(int64_t t, int64_t rows) {
    const bool decay = p_.variant == "decay";
    map(p_.k, t, rows, 1, k_);
    map(p_.q, t, rows, static_cast<float>(p_.scale), q_);
    std::vector<void*> transposed{address_of(k_), address_of(kt_)};
    call("transpose", "", transposed);
    for (int64_t i = 0; i < C_; i++) {
      for (int64_t e = 0; e < p_.V; e++) v_.put(i < rows ? p_.v[(t + i) * p_.V + e] : 0, e, i);
      if (!decay) continue;
      const double doublings = p_.decay[0] * static_cast<double>(std::min(i + 1, rows)) * std::numbers::log2e;
      b_.put(std::round(doublings), i, 0);
      b_.put(doublings - std::round(doublings), i, 1);
    }
    float eps = static_cast<float>(p_.eps);
    int32_t at_least = p_.denom_max ? 1 : 0;
    std::vector<void*> outputs{address_of(q_), address_of(kt_), address_of(v_), address_of(h_)};
    if (p_.normalise) outputs.insert(outputs.end(), {address_of(z_), address_of(eps), address_of(at_least)});
    std::vector<void*> states{address_of(k_), address_of(v_), address_of(h_)}, sums{address_of(k_), address_of(z_)};
    for (auto* argv : {&outputs, &states, &sums})
      if (decay) argv->push_back(address_of(b_));
    outputs.push_back(address_of(o_));
    states.push_back(address_of(next_h_));
    sums.push_back(address_of(next_z_));
    call(p_.normalise ? "causal_normalised" : "causal", p_.variant, outputs);
    call("state", p_.variant, states);
    if (p_.normalise) call("key_sum", p_.variant, sums);
    if (p_.normalise) z_.swap(next_z_);
    h_.swap(next_h_);
    EXPECT_TRUE(o_.on_device()) << "the kernel ran on the host";
    for (int64_t i = 0; i < rows; i++)
      for (int64_t e = 0; e < p_.V; e++) answer_.o.push_back(o_.get(e, i));
  }

  const Problem& p_;
  const int64_t C_, K_;
  const lathe::FeatureMap& map_;
  const int64_t D16_, M16_, K16_, V16_;
  Buffer x_, weights_, u_, peaks_, q_, k_, kt_, v_, b_, o_, h_, next_h_, z_, next_z_;
  reference::Answer answer_;
};

void compare(const std::vector<double>& got, const std::vector<double>& want, const std::vector<double>& size,
             double epsilons, const char* part) {
  ASSERT_EQ(got.size(), want.size()) << part;
  for (size_t i = 0; i < got.size(); i++)
    // written so that a NaN fails
    ASSERT_TRUE(std::abs(got[i] - want[i]) <= epsilons * kEpsilon * size[i] + 1e-37)
        << part << "[" << i << "] is " << got[i] << " and should be " << want[i] << ", size " << size[i];
}

// With no epsilons allowed: to the bit.
void check(const Problem& p, double epsilons) {
  SCOPED_TRACE(fmt::format("{} {} T={} D={} V={} normalise={}", p.variant, p.map, p.T, p.D, p.V, p.normalise));
  const reference::Answer got = Walk(p).run();
  const reference::Answers want = reference::causal(p);
  compare(got.o, want.value.o, want.size.o, epsilons, "o");
  compare(got.state, want.value.state, want.size.state, epsilons, "state");
  if (p.normalise) compare(got.z, want.value.z, want.size.z, epsilons, "z");
}

// The device's library is opened at run time, as Halide's runtime does.
int opencl_platforms() {
  void* library = dlopen("libOpenCL.so", RTLD_LAZY);
  if (!library) library = dlopen("libOpenCL.so.1", RTLD_LAZY);
  const auto list =
      library ? reinterpret_cast<int (*)(unsigned, void*, unsigned*)>(dlsym(library, "clGetPlatformIDs")) : nullptr;
  unsigned n = 0;
  return list && list(0, nullptr, &n) == 0 ? static_cast<int>(n) : 0;
}

class Device : public testing::Environment {
  void SetUp() override {
    if (opencl_platforms() == 0)
      GTEST_SKIP() << "no OpenCL platform answers (Debian: pocl-opencl-icd ocl-icd-opencl-dev)";
  }
};
[[maybe_unused]] const auto* const device = testing::AddGlobalTestEnvironment(new Device);

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
    check(support::integers(problem, 2, 1, true), 0);
  }
}

TEST_P(Variant, Normalised) {
  problem.T = 2 * kernel("causal", problem.variant).chunk + 5;
  problem.normalise = true;
  problem.eps = 1e-6;
  problem.map = "elu1";
  check(support::reals(problem, support::Type::F32, 2, true), 256);
}

INSTANTIATE_TEST_SUITE_P(Causal, Variant, testing::Values("plain", "decay"),
                         [](const auto& test) { return test.param; });

TEST(Maps, AllOfThem) {
  for (const lathe::FeatureMap& map : lathe::feature_maps()) {
    Problem p;
    p.T = kernel("causal", "plain").chunk + 3;
    p.D = 20;
    p.V = 17;
    check(support::reals(support::with_map(p, map.name), support::Type::F32, 3), 256);
  }
}

}  // namespace
