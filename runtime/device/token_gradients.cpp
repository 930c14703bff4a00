#include "token_gradients.h"

namespace lathe {

void TokenGradients::begin_tokens() {
  items_ = tables_.chunks(p_, LATHE_Q, 1);
  begin_gradients(LATHE_Q, 1, std::max(d_.K, d_.V));
  minus_ones_ = tile(std::max(d_.K, d_.V), 1, 1, 1);
  fill(minus_ones_, -1);
  q_ = mapped(LATHE_Q, items_, 1), keys_ = mapped(LATHE_K, items_, 1), v_ = values(items_, 1);
}

void TokenGradients::take_outputs(const Tile& state, int64_t first) {
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    move(state, of.values, row_of_ones(d_.K), token(q_, of.queries, first), token(g_, of.outputs, first));
  }
}

Tile TokenGradients::of_queries(const Tile& of_outputs) {
  const Tile to = like(q_);
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    for (const Output& of : outputs_of_query(query)) {
      sum(to, heads_of(s_.HQ, query), rows(of_outputs, of.outputs), of.first);
    }
  }
  return to;
}

Tile TokenGradients::of_keys(const Tile& of_values) {
  const Tile to = like(keys_);
  for (int64_t value = 0; value < group_.values(); value++)
    sum(to, all(to), rows(of_values, heads_of(s_.HV, value)), value == 0);
  return to;
}

}  // namespace lathe
