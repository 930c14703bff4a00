// Every kernel of a device row beside its twin of a CPU row: the same algorithm in another schedule, called with the
// same numbers. The twin is called once for each item and head, the device once for all of them. Skipped where no
// device of the row answers.
#include <HalideBuffer.h>
#include <HalideRuntimeOpenCL.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "opencl.h"
#include "runtime/registry.h"

#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) \
  extern "C" const halide_filter_metadata_t* symbol##_metadata();
#include "entries.inc"
#undef LATHE_ENTRY

namespace {

using lathe::Entry;

constexpr int kItems = 2, kHeads = 3, kSlices = kItems * kHeads;
// of every dimension: a chunk, and keys and values as wide, whatever a kernel makes of them
constexpr int kExtent = 32;
constexpr int kWidth = 12;  // of heads and of projections, before a map

const halide_filter_metadata_t* metadata_of(const Entry& entry) {
  static const std::map<std::string, const halide_filter_metadata_t* (*)()> all = {
#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) {#symbol, symbol##_metadata},
#include "entries.inc"
#undef LATHE_ENTRY
  };
  return all.at(entry.symbol)();
}

// Blocks of rows that walk a triangle together are as tall as the schedule's tile, and these take what was made for
// them.
const std::set<std::string> kOfTheirOwnBlocks = {"causal gate_key", "causal_columns ", "delta_solve_keys "};

// Outputs that are: these maps know a row by its projections alone.
const std::set<std::string> kZeros = {"map_backward rff dx", "map_backward hedgehog dx"};

std::string name_of(const Entry& entry) { return fmt::format("{} {}", entry.kernel, entry.axis); }

// Where a kernel wants other extents than most.
std::vector<int> extents_of(const Entry& entry, const std::string& name, int dimensions) {
  const bool maps = std::string_view(entry.kernel).starts_with("map");
  const bool squares = std::string_view(entry.axis) == "taylor2";  // has as many features as pairs of columns
  std::vector<int> extents(static_cast<size_t>(dimensions), kExtent);
  if (squares && (name == "y" || name == "dy")) extents[0] = 256;
  const bool sums = name == "whole" || name == "rest" || name.starts_with("sums.");  // from before the first token on
  if (!maps && sums && dimensions == 2) extents[1] = kExtent + 1;
  if (name == "by" && std::string_view(entry.kernel).starts_with("causal")) extents[0] = 2 * kExtent;
  return extents;
}

double integer_of(const std::string& name, int slice) {
  static const std::map<std::string, int> known = {{"width", kWidth}, {"features", kWidth}, {"step", 1},
                                                   {"subtract", 2},   {"lag", 1},           {"block", 16},
                                                   {"at_least", 0}};
  if (name == "rows") return kExtent - 6 * slice;
  if (name == "position") return 100 * slice;
  return known.at(name);
}

// What an argument holds, for all slices one after the other.
class Numbers {
 public:
  // A number that the device takes as one is the same for all.
  Numbers(const Entry& entry, const halide_filter_argument_t& argument, bool shared, std::mt19937& random)
      : name_(argument.name), type_(argument.type), scalar_(argument.kind == halide_argument_kind_input_scalar) {
    if (!scalar_) extents_ = extents_of(entry, name_, argument.dimensions);
    for (const int extent : extents_) size_ *= static_cast<size_t>(extent);
    const size_t width = static_cast<size_t>(type_.bits / 8);
    bytes_.resize(size_ * kSlices * width);
    if (argument.kind == halide_argument_kind_output_buffer) return;
    // small, so that systems of equations of a whole chunk stay tame
    std::uniform_real_distribution<float> any(-0.25f, 0.25f), positive(0.05f, 0.25f);
    const bool sums = std::set<std::string>{"q", "k", "kt", "near", "z", "beta", "eps"}.contains(name_);
    for (size_t n = 0; n < size_ * kSlices; n++) {
      float number = sums ? positive(random) : any(random);
      // logs of what is left: whole numbers that fall from row to row, and what remains of them
      const size_t column = n % kExtent, row = n / kExtent % (size_ / kExtent + (size_ < kExtent));
      if (name_ == "g") number = -std::abs(number);
      if (name_ == "whole") number = -static_cast<float>(row / 8);
      if (name_ == "b" && row == 0) number = -static_cast<float>(column / 8);
      if (name_ == "attribute") number = 1;
      if (type_.code == halide_type_int) {
        const auto whole = static_cast<int32_t>(integer_of(name_, static_cast<int>(n / size_)));
        std::memcpy(&bytes_[n * 4], &whole, 4);
      } else if (type_.code == halide_type_uint) {
        uint32_t bits;
        std::memcpy(&bits, &number, 4);
        bits >>= 16;
        std::memcpy(&bytes_[n * 2], &bits, 2);
      } else {
        std::memcpy(&bytes_[n * 4], &number, 4);
      }
    }
    for (size_t n = 1; n < kSlices && shared; n++)
      std::copy_n(bytes_.begin(), width, bytes_.begin() + static_cast<ptrdiff_t>(n * width));
  }

  // Rows of each slice, which is a square, as columns.
  void turn() {
    auto* floats = reinterpret_cast<float*>(bytes_.data());
    for (int slice = 0; slice < kSlices; slice++, floats += size_)
      for (int row = 0; row < kExtent; row++)
        for (int column = 0; column < row; column++)
          std::swap(floats[row * kExtent + column], floats[column * kExtent + row]);
  }

  // One slice, as a call of one chunk and head has it.
  void* of_slice(int slice) {
    char* data = bytes_.data() + static_cast<size_t>(slice) * size_ * static_cast<size_t>(type_.bits / 8);
    if (scalar_) return data;
    host_ = Halide::Runtime::Buffer<void>(type_, data, extents_);
    return host_.raw_buffer();
  }
  // All of them; a number that is the same for every call stays one.
  void* of_all(bool number) {
    if (number) return bytes_.data();
    std::vector<int> extents = extents_;
    extents.insert(extents.end(), {kItems, kHeads});
    device_ = Halide::Runtime::Buffer<void>(type_, bytes_.data(), extents);
    device_.set_host_dirty();
    // of an output that others store (schedules/stores.h) Halide knows nothing
    device_.copy_to_device(halide_opencl_device_interface());
    return device_.raw_buffer();
  }
  void fetch() {
    device_.set_device_dirty();
    device_.copy_to_host();
  }

  void compare(const Numbers& twin) const {
    for (size_t n = 0; n < size_ * kSlices; n++) {
      if (type_.code == halide_type_uint) {
        ASSERT_EQ(std::memcmp(&bytes_[n * 2], &twin.bytes_[n * 2], 2), 0) << name_ << "[" << n << "]";
        continue;
      }
      // projections of rows that do not count: a device reads no such rows
      if (name_ == "u" && n % size_ / kExtent >= static_cast<size_t>(integer_of("rows", static_cast<int>(n / size_))))
        continue;
      const float got = at(n), want = twin.at(n);
      // written so that a NaN fails
      ASSERT_TRUE(std::abs(got - want) <= 1e-5f * (1 + std::abs(want)))
          << name_ << "[" << n << "] is " << got << ", and of the twin " << want;
    }
  }
  bool changes() const {  // from the zeros that it began with
    return std::any_of(bytes_.begin(), bytes_.end(), [](char c) { return c != 0; });
  }

 private:
  float at(size_t n) const {
    float number;
    std::memcpy(&number, &bytes_[n * 4], 4);
    return number;
  }

  std::string name_;
  halide_type_t type_;
  bool scalar_;
  std::vector<int> extents_;
  size_t size_ = 1;
  std::vector<char> bytes_;
  Halide::Runtime::Buffer<void> host_, device_;
};

class Twins : public testing::TestWithParam<const Entry*> {};

TEST_P(Twins, ComputeTheSame) {
  const Entry& entry = *GetParam();
  const Entry* twin = lathe::find_kernel(LATHE_TWIN_ROW, entry.kernel, entry.axis);
  ASSERT_TRUE(twin) << "no twin";
  const auto *one = metadata_of(*twin), *all = metadata_of(entry);
  // what tells a device where tokens lie comes between the inputs and the outputs
  const int more = all->num_arguments - one->num_arguments;
  int inputs = 0;
  while (one->arguments[inputs].kind != halide_argument_kind_output_buffer) inputs++;
  std::vector<Numbers> ours, theirs;
  std::mt19937 random(1);
  for (int a = 0; a < one->num_arguments; a++) {
    const halide_filter_argument_t& same = all->arguments[a < inputs ? a : a + more];
    ASSERT_STREQ(one->arguments[a].name, same.name);
    ours.emplace_back(entry, one->arguments[a], same.kind == halide_argument_kind_input_scalar, random);
  }
  theirs = ours;
  // columns of tokens, which a device takes as rows
  for (int a = 0; a < all->num_arguments; a++)
    if (all->arguments[a].name == std::string("kt_at"))
      for (int n = 0; n < inputs; n++)
        if (one->arguments[n].name == std::string("kt")) theirs[static_cast<size_t>(n)].turn();
  Halide::Runtime::Buffer<int32_t> at(kItems, kHeads), counted(kItems, kHeads);
  at.fill(0), counted.fill(kExtent);
  at.set_host_dirty(), counted.set_host_dirty();
  std::vector<void*> argv;
  for (int slice = 0; slice < kSlices; slice++) {
    argv.clear();
    for (Numbers& n : theirs) argv.push_back(n.of_slice(slice));
    ASSERT_EQ(twin->call(argv.data()), 0);
  }
  argv.clear();
  for (int a = 0; a < all->num_arguments; a++) {
    const halide_filter_argument_t& argument = all->arguments[a];
    if (a >= inputs && a < inputs + more)
      argv.push_back((std::string_view(argument.name).ends_with("_at") ? at : counted).raw_buffer());
    else
      argv.push_back(ours[static_cast<size_t>(a < inputs ? a : a - more)].of_all(argument.kind ==
                                                                                 halide_argument_kind_input_scalar));
  }
  ASSERT_EQ(entry.call(argv.data()), 0);
  for (int a = 0; a < one->num_arguments; a++) {
    if (one->arguments[a].kind != halide_argument_kind_output_buffer) continue;
    const auto n = static_cast<size_t>(a);
    ours[n].fetch();
    ours[n].compare(theirs[n]);
    const std::string name = fmt::format("{} {}", name_of(entry), one->arguments[a].name);
    EXPECT_NE(theirs[n].changes(), kZeros.contains(name)) << name << ": zeros prove nothing";
  }
}

std::vector<const Entry*> with_twins() {
  std::istringstream words(LATHE_OF_DEVICES);
  const std::set<std::string> of_devices{std::istream_iterator<std::string>(words), {}};
  std::vector<const Entry*> all;
  for (const Entry& e : lathe::registry())
    if (std::string_view(e.row) == "opencl" && !of_devices.contains(e.kernel) &&
        !kOfTheirOwnBlocks.contains(name_of(e)))
      all.push_back(&e);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, Twins, testing::ValuesIn(with_twins()),
                         [](const auto& test) { return std::string(test.param->symbol); });

TEST(Twinless, AreThere) {
  for (const std::string& name : kOfTheirOwnBlocks) {
    const size_t blank = name.find(' ');
    EXPECT_TRUE(lathe::find_kernel("opencl", name.substr(0, blank), name.substr(blank + 1))) << name;
  }
}

}  // namespace
