// What gradients of both kinds begin and end with on a device.
#include "gradients.h"

namespace lathe {

void Gradients::begin_gradients(uint32_t role, int64_t chunk, int64_t tile_rows) {
  plan_tables(role, chunk);
  of_turned_ = tables_.states(p_, s_.V);
  of_rows_of_projection_ = tables_.alone(s_.M);
  begin(std::max({tile_rows, d_.M, d_.V}));
  nothing_ = zeros(std::max({2 * d_.C, tile_rows, d_.D * d_.M, d_.K * d_.V}), 1, 1, 1);
}

void Gradients::sum(const Tile& to, const Heads& h, DeviceBuffer&& more, bool first) {
  if (first)
    launcher_.call(*k_.weigh_rows, more, ones(to, h), rows(to, h));
  else
    launcher_.call(*k_.add_rows, rows(to, h), more, ones(to, h), rows(to, h));
}

void Gradients::add(const Tile& x, const Heads& h, DeviceBuffer&& y, DeviceBuffer&& by) {
  launcher_.call(*k_.add_rows, rows(x, h), y, by, rows(x, h));
}

Tile Gradients::turned_states(uint32_t role) {
  const Tensor& x = p_[role];
  if (!x.present()) return zeros(d_.K, d_.V, s_.N, s_.HV);
  const Shape s = of_states(x);
  return gather(x, {s.row, s.column, s.batch, s.head}, of_turned_, s_.K, d_.K, d_.V, s_.HV);
}

Tile Gradients::outputs(const Items& items, int64_t tile_rows) {
  const Tensor& x = p_[gradient_of(LATHE_O)];
  return gather(x, of_tokens(x), items, s_.V, d_.V, tile_rows, s_.out_heads());
}

Tile Gradients::over_denominators(const Tile& outputs, const Tile& inverses) {
  if (!normalise()) return outputs;
  const Tile to = like(outputs);
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    weigh(rows(outputs, of.outputs), row(inverses, of.queries, 0, outputs.items), rows(to, of.outputs));
  }
  return to;
}

void Gradients::take_denominators(const Tile& dq, const Tile& q, const Heads& queries, const Tile& inverses,
                                  DeviceBuffer&& z, const Tile& slopes) {
  const auto number = [&](const Tile& t) { return row(t, queries, 0, q.items); };
  const Tile dots = numbers_of_rows(q);
  launcher_.call(*k_.row_dots, rows(q, queries), rows(dq, queries), number(dots));
  launcher_.call(*k_.denominator_slopes, number(dots), number(inverses), at_least(), float{1 / plan_.meaning.eps},
                 number(slopes));
  add(dq, queries, std::move(z), number(slopes));
}

void Gradients::finish(uint32_t role, const Tile& dx, const Items& items, int64_t width) {
  if (const Tensor& to = p_[gradient_of(role)]; to.present()) scatter(dx, 0, to, of_tokens(to), items, width);
}

void Gradients::finish_mapped(uint32_t role, const Tile& dunits, const Items& items) {
  const bool mixes = role == LATHE_K && p_.mixes();
  if (!p_.wants_gradient(role) && !p_.wants_gradient(LATHE_PROJECTION) && !(mixes && p_.wants_gradient(LATHE_MIXTURE)))
    return;
  const Tile dy = plan_.meaning.unit(role) ? through_lengths(role, dunits, items) : dunits;
  if (mixes) return finish_mixture(dy, items);
  finish(role, maps(role) ? through_map(role, raw(role, from(p_[role]), items, dy.rows), dy, items) : dy, items, s_.D);
}

Tile Gradients::weighed_queries(const Tile& q, const Tile& slopes) {
  const Tile weighed = tile(q.columns, q.rows, q.items, s_.HK);
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    const Heads of = heads_of(s_.HQ, query);
    if (query == 0)
      weigh(rows(q, of), row(slopes, of, 0, q.items), rows(weighed));
    else
      add(weighed, all(weighed), rows(q, of), row(slopes, of, 0, q.items));
  }
  return weighed;
}

Tile Gradients::through_lengths(uint32_t role, const Tile& dy, const Items& items) {
  const Tile x = features(role, items, dy.rows), by = unit_weights(role, x), y = weighed(x, by);
  const Tile along = numbers_of_rows(y), to = like(dy);
  launcher_.call(*k_.row_dots, rows(y), rows(dy), row(along));
  const float scale = role == LATHE_K ? 1 : plan_.meaning.scale;
  launcher_.call(*k_.add_rows, rows(dy), rows(times(scale == 0 ? 0 : -1 / (scale * scale), y)), row(along), rows(to));
  return weighed(to, by);
}

Tile Gradients::through_map(uint32_t role, const Tile& x, const Tile& dy, const Items& items) {
  const FeatureMap& map = *plan_.meaning.map;
  const int64_t heads = dy.heads, M = map.projects() ? d_.M_back : 16;
  const Tile dx = tile(d_.D, dy.rows, items.count, heads);
  const Tile u = tile(M, dy.rows, items.count, heads), du = tile(d_.M, dy.rows, items.count, heads);
  DeviceBuffer x_rows(x.place, kFloat, {{d_.D, 1}, {x.rows, x.columns}, {items.count, x.item()}, {heads, x.head()}}),
      dy_rows = rows(dy), dx_rows = rows(dx), u_rows = rows(u), du_rows = rows(du),
      counts = tables_.list(items, items.rows, heads), positions = tables_.list(items, items.position, heads),
      before = number_of_all(nothing_, items.count, heads), peaks = row_of_all(nothing_, dy.rows, items.count, heads),
      begins = at(items.count, heads);
  const Tile projection = map.projects() ? this->projection() : zeros_;
  DeviceBuffer weights(projection.place, kFloat,
                       {{M, 1},
                        {map.projects() ? d_.D : 0, d_.M},
                        {items.count, 0},
                        {heads, projection.heads > 1 ? projection.head() : 0}});
  auto width = static_cast<int32_t>(s_.D), features = static_cast<int32_t>(s_.M);
  int32_t step = 1, subtract = 0;
  float scale = scale_of(role);
  auto attribute = static_cast<float>(plan_.meaning.attribute);
  std::vector<void*> arguments;
  const auto add = [&](auto&... each) { (arguments.push_back(address_of(each)), ...); };
  add(x_rows, weights, width, features, counts, positions, step, subtract, scale, attribute, before, dy_rows);
  if (map.stabilises()) add(peaks);
  add(begins);
  if (map.projects()) add(u_rows, du_rows);
  add(dx_rows);
  launcher_.call(*k_.map_backward, arguments.data());
  if (!map.projects()) return dx;

  // dx += du W, of W as it comes
  const Tensor& w = p_[LATHE_PROJECTION];
  const Tile as_it_comes =
      gather(w, of_projection(w), of_rows_of_projection_, s_.D, d_.D, d_.M, w.rank == 3 ? w.shape[0] : 1);
  const Tile more = like(dx);
  read_out(rows(du),
           {as_it_comes.place,
            kFloat,
            {{d_.D, 1}, {d_.M, d_.D}, {items.count, 0}, {heads, as_it_comes.heads > 1 ? as_it_comes.head() : 0}}},
           ones(dx, all(dx)), rows(more));
  sum(dx, all(dx), rows(more), false);
  if (p_.wants_gradient(LATHE_PROJECTION)) add_projection(du, x);
  return dx;
}

// W's gradient is du^T x, item after item.
void Gradients::add_projection(const Tile& du, const Tile& x) {
  const int64_t heads = x.heads;
  const Tile each = tile(d_.D, d_.M, x.items, heads);
  const bool first = projection_gradient_.heads == 0;
  if (first) projection_gradient_ = zeros(d_.D, d_.M, 1, p_[LATHE_PROJECTION].rank == 3 ? s_.HK : 1);
  DeviceBuffer columns(x.place, kFloat, {{d_.D, 1}, {x.rows, x.columns}, {x.items, x.item()}, {heads, x.head()}});
  launcher_.call(*k_.outer, rows(du), columns, no_states(each), at(x.items, heads), at(x.items, heads),
                 counted(x.items, heads), rows(each));
  // as if all items were one sequence
  const Tile sums = tile(d_.D, d_.M, x.items + 1, heads);
  const auto in_a_row = [&](const Tile& t) {
    return DeviceBuffer(t.place, kFloat,
                        {{t.columns, 1}, {t.rows, t.columns}, {t.items, t.item()}, {1, 0}, {heads, t.head()}});
  };
  launcher_.call(*k_.carry, in_a_row(each),
                 DeviceBuffer(ones_.place, kFloat, {{d_.M, 0}, {x.items, 0}, {1, 0}, {heads, 0}}),
                 DeviceBuffer(nothing_.place, kFloat, {{d_.D, 1}, {d_.M, d_.D}, {1, 0}, {heads, 0}}), in_a_row(sums));
  const Tile& to = projection_gradient_;
  for (int64_t head = 0; head < heads; head++)
    launcher_.call(*k_.add_rows, rows(to, {to.heads > 1 ? head : 0, 1, 1}), rows(sums, {head, 1, 1}, x.items, 1),
                   row_of_all(ones_, d_.M, 1, 1), rows(to, {to.heads > 1 ? head : 0, 1, 1}));
}

void Gradients::finish_projection() {
  const Tensor& w = p_[gradient_of(LATHE_PROJECTION)];
  if (!w.present()) return;
  // of no tokens it is zero
  if (projection_gradient_.heads == 0) projection_gradient_ = zeros(d_.D, d_.M, 1, w.rank == 3 ? s_.HK : 1);
  scatter(projection_gradient_, 0, w, of_projection(w), of_rows_of_projection_, s_.D);
}

Gradients::LaterSums Gradients::later_sums(const Tile& more, const Tile& less, const Items& rows, DeviceBuffer&& start,
                                           int64_t length, int64_t sequences) {
  const auto another = [&] { return tile(length, kRows, more.items, more.heads); };
  const Tile sums = another(), lost = another(), counted = another();
  const auto all_of = [&](const Tile& t) { return numbers_of(t, length, sequences); };
  launcher_.call(*k_.later_sums, all_of(more), all_of(less), tables_.rows_of_chunks(rows, sequences, more.heads), start,
                 all_of(sums), all_of(lost), all_of(counted));
  return {sums, counted};
}

}  // namespace lathe
