// Gradients of non-causal attention: a sequence is one item, whatever its length. Queries give dQ and the sums that
// keys then turn into dK and dV.
#include "gradients.h"

namespace lathe {

void NoncausalGradients::run() {
  query_rows_ = padded_rows(most_chunks(p_, LATHE_Q, 1));
  key_rows_ = padded_rows(most_chunks(p_, gradient_of(LATHE_K), 1));
  const bool reads = query_rows_ > 0, adds = key_rows_ > 0;
  if (reads) of_queries_ = tables_.chunks(p_, LATHE_Q, query_rows_);
  if (adds) of_keys_ = tables_.chunks(p_, gradient_of(LATHE_K), key_rows_);
  begin_gradients(LATHE_K, d_.C, std::max(query_rows_, key_rows_));
  state_ = entering_states(gradient_of(LATHE_STATE_OUT)), z_ = entering_sums(gradient_of(LATHE_Z_OUT));
  // what all queries read, the state transposed
  Tile turned = turned_states(LATHE_STATE_IN), sums = entering_sums(LATHE_Z_IN);
  if (adds) sum_keys(turned, sums);
  if (reads) of_queries(turned, sums);
  if (adds) of_keys(turned);
  if (const Tensor& x = p_[gradient_of(LATHE_STATE_IN)]; x.present())
    scatter(state_, 0, x, of_states(x), of_states_, s_.V);
  if (const Tensor& x = p_[gradient_of(LATHE_Z_IN)]; x.present()) scatter(z_, 0, x, of_sums(x), of_sums_, s_.K);
  finish_projection();
  finish_weights();
}

void NoncausalGradients::sum_keys(Tile& turned, Tile& sums) {
  keys_ = mapped(LATHE_K, of_keys_, key_rows_), v_ = values(of_keys_, key_rows_);
  const Tile last = like(turned), last_sums = like(sums);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    launcher_.call(*k_.state, rows(v_, of), rows(keys_), rows(turned, of), at(v_, of), at(keys_, all(keys_)),
                   counted({&v_}, of), rows(last, of));
  }
  turned = last;
  if (!normalise()) return;
  launcher_.call(*k_.key_sum, rows(keys_), row(sums), row(last_sums));
  sums = last_sums;
}

void NoncausalGradients::of_queries(const Tile& turned, const Tile& sums) {
  const bool normalises = normalise();
  const Tile q = mapped(LATHE_Q, of_queries_, query_rows_), dq = like(q);
  const Tile more = tile(d_.K, query_rows_, s_.N, s_.HK);
  const auto again = [&] { return row_again(sums, all(sums), query_rows_, 0, s_.N); };
  const Tile inverses = normalises ? inverses_of(q, again) : nothing_,
             slopes = normalises ? numbers_of_rows(q) : nothing_;
  const Tile g = over_denominators(outputs(of_queries_, query_rows_), inverses);
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    const Heads of_query = heads_of(s_.HQ, query);
    for (const Output& of : outputs_of_query(query)) {
      read_out(rows(g, of.outputs), rows(turned, of.values), row_of_all(ones_, query_rows_, s_.N, s_.HK), rows(more));
      sum(dq, of_query, rows(more), of.first);
      const Tile next = like(state_);
      for (int64_t value = 0; value < group_.values(); value++) {
        const Heads h = heads_of(s_.HV, value);
        if (static_cast<size_t>(value) == of.value)
          launcher_.call(*k_.state, rows(q, of.queries), rows(g, of.outputs), rows(state_, h), at(q, of.queries),
                         at(g, of.outputs), counted({&q}, h), rows(next, h));
        else
          sum(next, h, rows(state_, h), true);
      }
      state_ = next;
    }
    if (!normalises) continue;
    take_denominators(dq, q, of_query, inverses, again(), slopes);
    const Tile weighed = like(more), next = like(z_);
    weigh(rows(q, of_query), row(slopes, of_query, 0, s_.N), rows(weighed));
    launcher_.call(*k_.key_sum, rows(weighed), row(z_), row(next));
    z_ = next;
  }
  finish_mapped(LATHE_Q, dq, of_queries_);
}

void NoncausalGradients::of_keys(const Tile& turned) {
  const Tile dk = like(keys_), dv = like(v_), more = like(keys_), turned_gradient = like(turned);
  transpose(state_, turned_gradient);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    const auto ones = [&] { return row_of_all(ones_, key_rows_, s_.N, s_.HK); };
    read_out(rows(keys_), rows(state_, of), ones(), rows(dv, of));
    read_out(rows(v_, of), rows(turned_gradient, of), ones(), rows(more));
    sum(dk, all(dk), rows(more), value == 0);
  }
  if (normalise()) sum(dk, all(dk), row_again(z_, all(z_), key_rows_, 0, s_.N), false);
  finish(LATHE_V, dv, of_keys_, s_.V);
  finish_mapped(LATHE_K, dk, of_keys_);
}

}  // namespace lathe
