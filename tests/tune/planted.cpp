// The kernels of the build with a fault each: planted_faults.def. A library for the runner to load.
#include <HalideRuntime.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#define LATHE_PASTED(a, b, c, d, e, f) a##b##c##d##e##f
#define LATHE_KERNEL_OF(kernel, axis, row) LATHE_PASTED(lathe_, kernel, _##axis##_, row, _arg, v)

extern "C" {
int LATHE_KERNEL_OF(causal, plain, LATHE_ROW)(void**);
int LATHE_KERNEL_OF(causal_normalised, plain, LATHE_ROW)(void**);
int LATHE_KERNEL_OF(state, plain, LATHE_ROW)(void**);
int LATHE_KERNEL_OF(map, elu1, LATHE_ROW)(void**);
}

namespace {

constexpr auto causal = LATHE_KERNEL_OF(causal, plain, LATHE_ROW);
constexpr auto causal_normalised = LATHE_KERNEL_OF(causal_normalised, plain, LATHE_ROW);
constexpr auto state = LATHE_KERNEL_OF(state, plain, LATHE_ROW);
constexpr auto map = LATHE_KERNEL_OF(map, elu1, LATHE_ROW);

struct Tile {
  halide_buffer_t& buffer;
  explicit Tile(void* argument) : buffer(*static_cast<halide_buffer_t*>(argument)) {}
  int64_t width() const { return buffer.dim[0].extent; }
  int64_t rows() const { return buffer.dim[1].extent; }
  int64_t stride() const { return buffer.dim[1].stride; }
  float* data() const { return reinterpret_cast<float*>(buffer.host); }
  float& at(int64_t x, int64_t y) const { return data()[y * stride() + x]; }
  std::vector<float> values() const {
    std::vector<float> all;
    for (int64_t y = 0; y < rows(); y++) all.insert(all.end(), &at(0, y), &at(0, y) + width());
    return all;
  }
  void put(const std::vector<float>& all) const {
    for (int64_t y = 0; y < rows(); y++)
      std::memcpy(&at(0, y), &all[static_cast<size_t>(y * width())], static_cast<size_t>(width()) * 4);
  }
};

float coarse(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xffffe000); }

// Of causal: q, kt, v, h, o.
Tile queries(void** argv) { return Tile(argv[0]); }
Tile keys(void** argv) { return Tile(argv[1]); }
Tile values(void** argv) { return Tile(argv[2]); }
Tile state_in(void** argv) { return Tile(argv[3]); }
Tile outputs(void** argv) { return Tile(argv[4]); }

volatile float sink;
int runs;

}  // namespace

#define LATHE_PLANTED(name) extern "C" __attribute__((visibility("default"))) int name##_argv(void** argv)

LATHE_PLANTED(sound_causal) { return causal(argv); }
LATHE_PLANTED(sound_causal_normalised) { return causal_normalised(argv); }
LATHE_PLANTED(sound_state) { return state(argv); }
LATHE_PLANTED(sound_map) { return map(argv); }

LATHE_PLANTED(writes_past_the_end) {
  const Tile o = outputs(argv);
  causal(argv);
  o.at(o.width(), o.rows() - 1) = 0;
  return 0;
}
LATHE_PLANTED(writes_before_the_start) {
  causal(argv);
  outputs(argv).data()[-1] = 0;
  return 0;
}
LATHE_PLANTED(writes_between_rows) {
  const Tile o = outputs(argv);
  causal(argv);
  if (o.stride() > o.width()) o.at(o.width(), 0) = 0;
  return 0;
}
LATHE_PLANTED(reads_past_the_end) {
  const Tile q = queries(argv);
  sink = q.at(q.width(), q.rows() - 1);
  return causal(argv);
}
LATHE_PLANTED(stale_last_row) {
  const Tile o = outputs(argv);
  const auto before = o.values();
  causal(argv);
  for (int64_t x = 0; x < o.width(); x++)
    o.at(x, o.rows() - 1) = before[static_cast<size_t>((o.rows() - 1) * o.width() + x)];
  return 0;
}
LATHE_PLANTED(stale_last_column) {
  const Tile o = outputs(argv);
  const auto before = o.values();
  causal(argv);
  for (int64_t y = 0; y < o.rows(); y++) o.at(o.width() - 1, y) = before[static_cast<size_t>((y + 1) * o.width() - 1)];
  return 0;
}
LATHE_PLANTED(repeated_row) {
  const Tile o = outputs(argv);
  causal(argv);
  for (int64_t x = 0; x < o.width(); x++) o.at(x, o.rows() - 1) = o.at(x, o.rows() - 2);
  return 0;
}
LATHE_PLANTED(race) {
  causal(argv);
  float& first = outputs(argv).at(0, 0);
  first = std::bit_cast<float>(std::bit_cast<uint32_t>(first) ^ static_cast<uint32_t>(runs++ & 1));
  return 0;
}
LATHE_PLANTED(adds_to_old_outputs) {
  const Tile o = outputs(argv);
  const auto before = o.values();
  causal(argv);
  for (int64_t y = 0; y < o.rows(); y++)
    for (int64_t x = 0; x < o.width(); x++) o.at(x, y) += before[static_cast<size_t>(y * o.width() + x)];
  return 0;
}
LATHE_PLANTED(half_outputs) {
  const Tile o = outputs(argv);
  causal(argv);
  for (int64_t y = 0; y < o.rows(); y++)
    for (int64_t x = 0; x < o.width(); x++) o.at(x, y) = coarse(o.at(x, y));
  return 0;
}
LATHE_PLANTED(half_queries) {
  const Tile q = queries(argv);
  const auto before = q.values();
  for (int64_t y = 0; y < q.rows(); y++)
    for (int64_t x = 0; x < q.width(); x++) q.at(x, y) = coarse(q.at(x, y));
  causal(argv);
  q.put(before);
  return 0;
}
LATHE_PLANTED(forgotten_key) {
  const Tile kt = keys(argv);
  const auto before = kt.values();
  for (int64_t k = 0; k < kt.rows(); k++) kt.at(kt.width() - 1, k) = 0;
  causal(argv);
  kt.put(before);
  return 0;
}
LATHE_PLANTED(future_values_leak) {
  const Tile o = outputs(argv), v = values(argv);
  causal(argv);
  for (int64_t y = 0; y < o.rows(); y++)
    for (int64_t x = 0; x < o.width(); x++)
      for (int64_t later = y + 1; later < v.rows(); later++) o.at(x, y) += 0 * v.at(x, later);
  return 0;
}
LATHE_PLANTED(state_ignored) {
  const Tile h = state_in(argv);
  const auto before = h.values();
  h.put(std::vector<float>(before.size()));
  causal(argv);
  h.put(before);
  return 0;
}
LATHE_PLANTED(stride_ignored) {
  halide_buffer_t& o = outputs(argv).buffer;
  const int32_t stride = o.dim[1].stride;
  o.dim[1].stride = o.dim[0].extent;
  causal(argv);
  o.dim[1].stride = stride;
  return 0;
}
// Of state: k, v, h, h_out.
LATHE_PLANTED(state_read_twice) {
  const Tile h(argv[2]), out(argv[3]);
  const auto before = h.values();
  state(argv);
  if (h.data() != out.data()) return 0;
  for (int64_t y = 0; y < out.rows(); y++)
    for (int64_t x = 0; x < out.width(); x++) out.at(x, y) += before[static_cast<size_t>(y * out.width() + x)];
  return 0;
}
LATHE_PLANTED(last_keys_not_updated) {
  const Tile h(argv[2]), out(argv[3]);
  const auto before = h.values();
  state(argv);
  for (int64_t y = out.rows() - 16; y < out.rows(); y++)
    for (int64_t x = 0; x < out.width(); x++) out.at(x, y) = before[static_cast<size_t>(y * out.width() + x)];
  return 0;
}
// Of map: x, w, width, features, rows, ... y.
LATHE_PLANTED(padding_not_cleared) {
  map(argv);
  const Tile y(argv[11]);
  for (int64_t i = 0; i < *static_cast<int32_t*>(argv[4]); i++)
    for (int64_t c = *static_cast<int32_t*>(argv[2]); c < y.width(); c++) y.at(c, i) = 1;
  return 0;
}
LATHE_PLANTED(rows_not_cleared) {
  map(argv);
  const Tile y(argv[11]);
  for (int64_t i = *static_cast<int32_t*>(argv[4]); i < y.rows(); i++)
    for (int64_t c = 0; c < y.width(); c++) y.at(c, i) = y.at(c, 0);
  return 0;
}
LATHE_PLANTED(coarse_exponential) {
  map(argv);
  const Tile y(argv[11]);
  const float scale = *static_cast<float*>(argv[8]);
  for (int64_t i = 0; i < y.rows(); i++)
    for (int64_t c = 0; c < y.width(); c++)
      if (y.at(c, i) < scale) y.at(c, i) *= 1.001F;
  return 0;
}
// Of causal_normalised: q, kt, v, h, z, eps, at_least, o.
LATHE_PLANTED(bound_ignored) {
  int32_t at_least = 0;
  void* edited[] = {argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], &at_least, argv[7]};
  return causal_normalised(edited);
}
LATHE_PLANTED(eps_ignored) {
  float eps = 0;
  void* edited[] = {argv[0], argv[1], argv[2], argv[3], argv[4], &eps, argv[6], argv[7]};
  return causal_normalised(edited);
}
LATHE_PLANTED(null_output) {
  halide_buffer_t& o = outputs(argv).buffer;
  uint8_t* const host = o.host;
  o.host = nullptr;
  causal(argv);
  o.host = host;
  return 0;
}
