#include "tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "../../runtime/maps.h"
#include "../hash.h"

namespace lathe::tune {

namespace {

constexpr int64_t kBlock = 16;  // of columns: what map kernels store at once
constexpr int64_t kLine = 64, kPage = 4096;
constexpr double kMostPositions = 128;  // of cosformer

int64_t round_up(int64_t n, int64_t grain) { return (n + grain - 1) / grain * grain; }

// The same number for the same place, in (0, 1).
double noise(uint64_t seed, uint64_t name, int64_t x, int64_t y) {
  uint64_t n = seed * 0x9e3779b97f4a7c15 + name + static_cast<uint64_t>(x) * 0xbf58476d1ce4e5b9 +
               static_cast<uint64_t>(y) * 0x94d049bb133111eb;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
  n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
  return (static_cast<double>((n ^ (n >> 31)) >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

Tile::Tile(int64_t width, int64_t rows, int64_t stride, int64_t slack, int dimensions, const Setting& setting)
    : width_(width), rows_(rows), stride_(stride) {
  const auto bytes = static_cast<size_t>((rows - 1) * stride + width + slack) * sizeof(float);
  if (setting.guarded) {
    guarded_ = std::make_unique<support::Guarded>(bytes, setting.edge);
    data_ = reinterpret_cast<float*>(guarded_->data());
  } else {
    plain_ = std::make_unique<char[]>(bytes + 2 * kPage);
    const auto at = reinterpret_cast<uintptr_t>(plain_.get());
    data_ = reinterpret_cast<float*>(plain_.get() + round_up(static_cast<int64_t>(at), kPage) -
                                     static_cast<int64_t>(at) + setting.offset * kLine);
  }
  std::memset(data_, support::Guarded::pattern, bytes);
  dims_[0] = halide_dimension_t(0, static_cast<int32_t>(width), 1);
  dims_[1] = halide_dimension_t(0, static_cast<int32_t>(rows), static_cast<int32_t>(stride));
  buffer_.host = reinterpret_cast<uint8_t*>(data_);
  buffer_.dim = dims_;
  buffer_.dimensions = dimensions;
  buffer_.type = halide_type_t(halide_type_float, 32);
}

void Tile::fill(const std::function<float(int64_t, int64_t)>& value) {
  for (int64_t y = 0; y < rows_; y++)
    for (int64_t x = 0; x < width_; x++) at(x, y) = value(x, y);
}

void Tile::put(const std::vector<float>& values) {
  fill([&](int64_t x, int64_t y) { return values[static_cast<size_t>(y * width_ + x)]; });
}

std::vector<float> Tile::values() const {
  std::vector<float> all;
  for (int64_t y = 0; y < rows_; y++) all.insert(all.end(), data_ + y * stride_, data_ + y * stride_ + width_);
  return all;
}

bool Tile::surroundings_intact() const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(data_);
  for (int64_t y = 0; y + 1 < rows_; y++)
    for (int64_t at = (y * stride_ + width_) * 4; at < (y + 1) * stride_ * 4; at++)
      if (bytes[at] != support::Guarded::pattern) return false;
  return !guarded_ || guarded_->slack_intact();
}

Tiles::Tiles(const Job& job, const Built& built, const Setting& setting) : job_(job), built_(built), setting_(setting) {
  const Shape& s = setting.shape;
  const bool maps = has_map(job.kernel);
  tokens_ = job.kernel == "decode" || job.kernel == "recall" ? 1 : built.chunk;
  padded_D_ = round_up(s.D, kBlock);
  padded_M_ = round_up(s.M, std::max(built.value_grain, static_cast<int>(kBlock)));
  padded_V_ = round_up(s.V, built.value_grain);
  K_ = setting.K > 0 ? setting.K : s.D;
  past_ = 0;
  if (maps) {
    const FeatureMap* map = find_map(job.axis.c_str());
    if (!map) throw std::invalid_argument("no feature map is called " + job.axis);
    attribute_ = map->fallback(s.D);
    if (std::isnan(attribute_)) attribute_ = kMostPositions;
    K_ = map->width(s.D, s.M, attribute_);
    const int64_t last = map->last(s.D, s.M, attribute_);
    const bool whole = last == K_ || (K_ % kBlock == 0 && last % kBlock == 0);
    padded_K_ = round_up(whole ? K_ : K_ + kBlock - 1, kBlock);
    past_ = K_ == s.D || s.M > 0 ? 0 : kBlock;
  } else {
    padded_K_ = round_up(K_, std::max(built.key_grain, static_cast<int>(kBlock)));
  }
  double gate = 0;
  for (int64_t i = 0; i < built.chunk; i++)
    gates_.push_back(static_cast<float>(gate -= 0.2 * noise(setting.seed, hash("gate"), i, 0)));
  if (setting.in_place) aliases_ = {{"h_out", "h"}, {"z_out", "z"}, {"o", "before"}};
  if (job.kernel.starts_with("recurrence")) aliases_["h_out"] = "h";  // where else would the next tile find it
  for (const Argument& argument : job.arguments)
    argument.type == "uint64" ? add_asked() : argument.dimensions == 0 ? add_number(argument) : add_tile(argument);
  if (!asked_.empty()) {  // outputs are told as those of a single tile: generators/kernel.h
    tile("o").tell(built.value_grain, built.row_grain);
    tile("h").tell(built.value_grain, padded_K_);
  }
  reset();
}

void Tiles::add_asked() {
  asked_.resize(static_cast<size_t>(padded_K_));
  std::fill(asked_.begin(), asked_.end(), reinterpret_cast<uint64_t>(asked_.data()));
  const auto width = static_cast<int32_t>(asked_.size());
  asked_dims_[0] = halide_dimension_t(0, width, 1);
  asked_dims_[1] = halide_dimension_t(0, static_cast<int32_t>(built_.chunk * padded_V_), 0);
  asked_buffer_.host = reinterpret_cast<uint8_t*>(asked_.data());
  asked_buffer_.dim = asked_dims_;
  asked_buffer_.dimensions = 2;
  asked_buffer_.type = halide_type_t(halide_type_uint, 64);
  argv_.push_back(&asked_buffer_);
}

void Tiles::add_tile(const Argument& a) {
  if (a.type != "float32")
    throw std::invalid_argument("argument " + a.name + " of " + job_.kernel + " is " + a.type + ": expected float32");
  if (const auto alias = aliases_.find(a.name); alias != aliases_.end() && tiles_.contains(alias->second)) {
    argv_.push_back(tile(alias->second).address());
    return;
  }
  aliases_.erase(a.name);
  struct Extents {
    const char* name;
    int dimensions;
    int64_t width, rows;
    bool transposed = false;  // rows are one chunk apart, always
    int64_t slack = 0;
    const char* kernel = nullptr;  // the only one that means this by the name
  };
  const int64_t C = built_.chunk, K = padded_K_, V = padded_V_, grain = built_.row_grain;
  const Extents known[] = {{"w", 2, K, C, false, 0, "delta_values"},
                           {"y", 2, V, C, false, 0, "delta_values"},
                           {"whole", 2, V, C + 1, false, 0, "causal_columns"},
                           {"q", 2, K, C},
                           {"k", 2, K, C},
                           {"y", 2, K, C},
                           {"kt", 2, C, K, true},
                           {"v", 2, V, C},
                           {"z", 2, K, C},
                           {"z_out", 2, K, C},
                           {"h", 2, V, K},
                           {"h_out", 2, V, K},
                           {"o", 2, V, C},
                           {"u", 2, padded_M_, C},
                           {"w", 2, padded_M_, padded_D_},
                           {"x", 2, padded_D_ + past_, C, false, 0},
                           {"q", 1, K, 1},
                           {"k", 1, K, 1},
                           {"v", 1, V, 1},
                           {"o", 1, V, 1},
                           {"before", 1, V, 1},
                           {"z", 1, K, 1},
                           {"z_out", 1, K, 1},
                           {"a", 1, C, 1},
                           {"b", 2, C, 2},
                           {"inv", 1, C, 1},
                           {"peak", 1, C, 1},
                           {"dy", 2, K, C},
                           {"dx", 2, padded_D_, C},
                           {"down", 2, V, C},
                           {"rest", 2, V, C + 1},
                           {"u", 1, V, 1},
                           {"beta", 1, C, 1},
                           {"t", 2, C, C, true},
                           {"near", 2, K, C},
                           {"whole", 2, C, K, true},
                           {"reached", 2, K, C / grain},
                           {"pairs", 2, grain, C},
                           {"a", 2, K, C},
                           {"own", 1, C, 1},
                           {"weight", 1, C, 1},
                           {"solved.0", 2, C, C},
                           {"solved.1", 2, C, C}};
  for (const Extents& e : known) {
    if (a.name != e.name || a.dimensions != e.dimensions || (e.kernel && job_.kernel != e.kernel)) continue;
    // a map's input may be read a block past its rows: the rows themselves stand side by side
    const int64_t width = a.name == "x" ? padded_D_ : e.width;
    const int64_t stride = e.transposed ? C : width + (a.name == "x" && past_ > 0 ? 0 : setting_.gap);
    auto tile = std::make_unique<Tile>(std::max<int64_t>(e.width, kBlock), e.rows, std::max<int64_t>(stride, kBlock),
                                       e.slack, e.dimensions, setting_);
    argv_.push_back(tile->address());
    tiles_[a.name] = std::move(tile);
    return;
  }
  throw std::invalid_argument("the tuner does not know the argument " + a.name + " of " + job_.kernel +
                              ": its extents belong in autotune/runner/tiles.cpp");
}

void Tiles::add_number(const Argument& a) {
  const FeatureMap* map = has_map(job_.kernel) ? find_map(job_.axis.c_str()) : nullptr;
  const bool stable = map && map->stabilises();
  // so large that to forget it shows; and where it is a bound, some sums lie on either side of it
  const double eps = !setting_.at_least ? 0.25 : job_.kernel == "fixed_denominator" ? 15 : 100;
  const std::map<std::string, double> known = {
      {"eps", eps},
      {"at_least", setting_.at_least ? 1 : 0},
      {"a", 0.9375},
      {"inv", 0.75},
      {"width", static_cast<double>(setting_.shape.D)},
      {"features", static_cast<double>(setting_.shape.M)},
      {"rows", static_cast<double>(setting_.rows < 0 ? built_.chunk : setting_.rows)},
      {"position", 5},
      {"step", 1},
      {"subtract", stable ? setting_.subtract : 0},
      {"scale", 0.5},
      {"attribute", attribute_},
      {"peak_before", -2},
      {"lag", setting_.at_least ? 1 : 0}};
  const auto found = known.find(a.name);
  if (found == known.end())
    throw std::invalid_argument("the tuner does not know the number " + a.name + " of " + job_.kernel +
                                ": its value belongs in autotune/runner/tiles.cpp");
  Number& number = numbers_[a.name];
  number = {static_cast<float>(found->second), static_cast<int32_t>(found->second)};
  argv_.push_back(a.type == "int32" ? static_cast<void*>(&number.whole) : &number.real);
}

double Tiles::number(const std::string& name) const {
  return name == "rows" || name == "subtract" || name == "position" ? numbers_.at(name).whole : numbers_.at(name).real;
}

// Of both signs where no denominator is made of them; here and there far larger, or as small as a number can be.
float Tiles::first_value(const std::string& name, int64_t x, int64_t y) const {
  const double n = noise(setting_.seed, hash(name), x, y), pick = noise(setting_.seed, hash(name) + 1, x, y);
  const auto fallen = [](int64_t tokens, int64_t key) {
    const int64_t whole = (tokens + key % 5) / 8;
    return -static_cast<float>(whole);
  };
  if (job_.kernel == "causal_columns" && name == "whole") return fallen(y, x);
  if (job_.kernel == "delta_solve_keys" && name == "whole") return fallen(x + 1, y);
  if (name == "reached") return fallen(y * built_.row_grain, x);
  if (name == "rest") return static_cast<float>(n - 0.5);
  if (name == "beta") return static_cast<float>(n);
  if (job_.kernel.starts_with("delta_solve") && name != "b")  // whose inverse grows with the chunk where keys are long
    return static_cast<float>((2 * n - 1) / (name == "pairs" ? 8 : std::sqrt(padded_K_)));
  const bool normalised = job_.kernel.ends_with("_normalised") || job_.kernel == "fixed_denominator";
  if (name == "b") {  // as generators/decay.h wants it
    const double doublings = gates_[static_cast<size_t>(x)] * std::numbers::log2e, whole = std::round(doublings);
    return static_cast<float>(y == 0 ? whole : doublings - whole);
  }
  // what is left of a state, which calls that follow each other must not let grow
  if (job_.kernel.starts_with("recurrence") && name == "a") return static_cast<float>(0.9 * n);
  if (name == "inv" || (normalised && (name == "q" || name == "kt" || name == "z")))
    return static_cast<float>(0.1 + 0.9 * n);
  if (name == "x") {
    const int64_t rows = setting_.rows < 0 ? built_.chunk : setting_.rows;
    return x >= setting_.shape.D || y >= rows ? 0.f : static_cast<float>(4 * n - 2);
  }
  if (name == "w") return x >= setting_.shape.M || y >= setting_.shape.D ? 0.f : static_cast<float>(2 * n - 1);
  // a timed call repeats, and subnormal numbers are slow in ways that no user's are
  if (setting_.guarded && pick < 1.0 / 64) return static_cast<float>((2 * n - 1) * 1e3);
  if (setting_.guarded && pick > 1 - 1.0 / 64) return static_cast<float>((2 * n - 1) * 1e-39);
  return static_cast<float>(2 * n - 1);
}

void Tiles::reset() {
  for (auto& [name, tile] : tiles_) {
    const auto argument = std::find_if(job_.arguments.begin(), job_.arguments.end(),
                                       [&, &n = name](const Argument& a) { return a.name == n && a.dimensions > 0; });
    const auto nan = [](int64_t, int64_t) { return std::numeric_limits<float>::quiet_NaN(); };
    if (argument->output)
      tile->fill(nan);
    else if (const auto first = first_.find(name); first != first_.end())
      tile->put(first->second);
    else {
      tile->fill([&, &n = name](int64_t x, int64_t y) { return first_value(n, x, y); });
      first_[name] = tile->values();
    }
  }
}

Matrix Tiles::input(const std::string& name) const {
  const auto first = first_.find(name);
  if (first == first_.end()) return {};
  return {first->second.data(), tile(name).width(), tile(name).rows()};
}

std::vector<std::string> Tiles::extents() const {
  std::vector<std::string> words;
  for (const Argument& a : job_.arguments) {
    if (a.dimensions == 0) {
      words.push_back(fmt::format("{}={}", a.name, number(a.name)));
      continue;
    }
    if (a.type == "uint64") {
      words.push_back(fmt::format("{}={}x{}", a.name, asked_dims_[0].extent, asked_dims_[1].extent));
      continue;
    }
    const Tile& t = tile_of(a.name);
    words.push_back(a.dimensions == 1 ? fmt::format("{}={}", a.name, t.told(0))
                                      : fmt::format("{}={}x{}", a.name, t.told(0), t.told(1)));
  }
  return words;
}

std::vector<std::string> Tiles::outputs() const {
  std::vector<std::string> names;
  for (const Argument& argument : job_.arguments)
    if (argument.output) names.push_back(argument.name);
  return names;
}

std::vector<std::vector<float>> Tiles::results() const {
  std::vector<std::vector<float>> all;
  for (const std::string& name : outputs()) all.push_back(tile_of(name).values());
  return all;
}

bool Tiles::surroundings_intact() const {
  return std::all_of(tiles_.begin(), tiles_.end(), [](const auto& t) { return t.second->surroundings_intact(); });
}

}  // namespace lathe::tune
