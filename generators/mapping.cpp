#include "mapping.h"

#include "storage.h"

using namespace Halide;

namespace lathe::gen {

namespace {

// "elu1_bf16" is elu1 of bfloat16.
std::pair<std::string, std::string> map_and_storage(const std::string& axis) {
  for (const char* name : storages)
    if (const std::string suffix = std::string("_") + name; axis.ends_with(suffix))
      return {axis.substr(0, axis.size() - suffix.size()), name};
  return {axis, ""};
}

}  // namespace

Mapping::Mapping(Kernel& k) : Mapping(k, map_and_storage(k.axis())) {}

Mapping::Mapping(Kernel& k, const std::pair<std::string, std::string>& map_and_storage)
    : kernel(k),
      map(map_and_storage.first),
      storage(map_and_storage.second),
      stored(k.tokens("x", storage.empty() ? Float(32) : storage_type(storage))),
      w(k.buffer("w")),
      width(k.number<int32_t>("width")),
      features(k.number<int32_t>("features")),
      rows(k.each<int32_t>("rows")),
      position(k.each<int32_t>("position")),
      step(k.number<int32_t>("step")),
      subtract(k.number<int32_t>("subtract")),
      scale(k.number<float>("scale")),
      attribute(k.number<float>("attribute")),
      peak_before(k.each<float>("peak_before")) {}

Expr Mapping::x(const Expr& column, const Expr& row) const {
  return storage.empty() ? stored(column, row) : widened(storage, stored(column, row));
}

Words Mapping::words() {
  RDom d(0, Kernel::extent(stored, 0), "d"), lane(0, kBlock, 0, blocks(width), "lane"),
      m(0, kBlock, 0, blocks(features), "m");
  Func product("product"), square("square"), u_max("u_max"), largest("largest");
  const auto rows_of_x = [this](const Expr& column, const Expr& row) { return x(column, row); };
  product(c, i) += kernel.multiplier(rows_of_x, d, i) * w(c, d);
  u(c, i) = product(c, i);
  Expr column = lane.y * kBlock + lane.x, feature = m.y * kBlock + m.x;
  square(i) += select(column < width, x(column, i) * x(column, i), 0.f);
  u_max(i) = 0.f;
  u_max(i) = max(u_max(i), select(feature < features, abs(u(feature, i)), 0.f));
  // the lowest number and not -inf, which the compiler may assume away
  const Expr lowest = Float(32).min();
  largest(i) = lowest;
  largest(i) = max(largest(i), select(feature < features, sqrt(attribute) * u(feature, i), lowest));
  RDom row(0, stored.dim(1).extent(), "row");
  peak(i) = undef<float>();
  Expr before = select(row > 0, peak(max(row - 1, 0)), peak_before);
  peak(row) = max(select(subtract == 2, before, lowest), select(row < rows, largest(row), lowest));
  kernel.label(Role::row_sum, largest);
  kernel.label(Role::outer, product);
  kernel.label(Role::row_sum, square);
  kernel.label(Role::row_sum, u_max);
  Words words;
  words.x = x(words.c, i);
  words.x_behind = x(words.behind, i);
  words.u = u(words.c, i);
  words.u_max = u_max(i);
  words.square = square(i);
  words.shift = select(subtract == 0, 0.f, peak(i));
  words.row = position + i * step;
  words.D = width;
  words.M = features;
  words.A = attribute;
  words.x_at = [this](const Expr& at) { return x(clamp(at, 0, width - 1), i); };
  return words;
}

Mapping::Triangle Mapping::triangle(Blocks cut) const {
  RDom r(0, kBlock, 0, blocks(width), 0, width, "r");
  Expr ahead = r.y * kBlock + r.x;
  r.where((cut == Blocks::kCut ? ahead : Expr(r.y * kBlock)) + r.z + 1 < width);
  // Halide does not see that the condition keeps a block within 16 columns of the end
  Expr column = unsafe_promise_clamped(r.z + 1 + ahead, 0, stored.dim(0).extent() - 1);
  return {r, r.z, ahead, column, r.z * width - r.z * (r.z + 1) / 2};
}

Func Mapping::total_of(const Formula& f, const Words& words) {
  Func total("total");
  total(i) = 0.f;
  for (const Part& part : f.parts) {
    const RDom r = columns_of(part);
    total(i) += select(column(r) < part.width, in_part(part.value, words, column(r)), 0.f);
  }
  kernel.label(Role::row_sum, total);
  return total;
}

}  // namespace lathe::gen
