// A chunk whose key dimensions have gates of their own: what generators/key_gates.cpp makes of its keys and queries,
// and the kernels that take it.
#pragma once

#include "worker.h"

namespace lathe {

class KeyGates {
 public:
  explicit KeyGates(Worker& worker);

  // Of a worker's scratch; none where the variant has no such gates.
  static int64_t floats(const Plan& plan);

  // Of one state head, from the mapped keys: `kept` is what the state that leaves is made of, the worker's kt what the
  // scores want. `before` is the stabiliser's maximum before the first row, where something stabilises.
  void take(const Sequence& s, const Step& step, int64_t head, const Worker::Rows& keys, float before) const;
  // Only what is left of the state: where a recurrence takes it.
  void load(const Sequence& s, const Step& step, int64_t head, float before) const;
  struct Sums {  // as generators/key_gates.cpp has them
    const float *whole, *rest, *rise, *bonus;
  };
  Sums sums() const { return {base_ + at_.whole, base_ + at_.rest, base_ + at_.rise, base_ + at_.bonus}; }
  // The same from C rows of log gates, in steps: what is left of the state; what the state is made of; what outputs()
  // wants besides.
  void take_gates(const Worker::Rows& gates, int64_t head) const;
  void take_keys(const Worker::Rows& keys) const;
  void turn() const;
  float* room() const { return base_ + at_.g; }  // for such rows
  // Of keys that meet keys: what values and keys of earlier tokens weigh in each, as generators/delta.cpp has it, and
  // then entering(), each with what is left of it since the chunk began.
  void solve(const Worker::Rows& keys, Buffer& beta, Buffer& of_values, Buffer& of_keys) const;
  Worker::Rows entering() const { return {base_ + at_.entering, K_}; }
  Worker::Rows kept() const { return {base_ + at_.kept, K_}; }
  void outputs(const Worker::Rows& queries, const Worker::Rows& keys, Buffer& v, Buffer& h, Buffer& out) const;
  // out = q h + tril(q k^T) v, each key dimension of v and h with its gate: v are the keys that were taken, kt(C, .)
  // the other side's, transposed.
  void columns(Buffer& q, Buffer& kt, const Worker::Rows& v, Buffer& h, Buffer& out) const;
  // From z to the sums of keys after each token, and as its query sees them.
  void running_sums(const Worker::Rows& keys, const Worker::Rows& gates, float* z, float* seen) const;
  // Gradients of the gates, as generators/key_gates.cpp has it. `own` as there; `later` moves on.
  void gradients(const float* products, int64_t stride, const Worker::Rows& keys, const Worker::Rows& dk,
                 const Worker::Rows& own, double* later, float* out) const;
  void advance(int64_t first, int64_t keys, Buffer& k, Buffer& v, Buffer& h, Buffer& h_out) const;

 private:
  struct Parts {  // of the scratch
    int64_t g, whole, rest, sums, later, down, kept, columns, entering, near, up, pairs, left, rise, bonus, floats;
  };
  static Parts parts(const Plan& plan);
  // Of queries, or of keys in their place: what is left of each since the chunk began, and since its block of rows did,
  // and what it and the keys of that block give each other.
  void meet(const Worker::Rows& queries, const Worker::Rows& keys, int32_t block) const;
  Buffer rows(int64_t part, int64_t n) const { return {base_ + part, K_, n, K_}; }

  Worker& w_;
  const Plan& plan_;
  const int64_t K_, C_;
  const int32_t lag_;
  const Parts at_;
  float* base_;
};

// Rows of log gates, `stride` apart in the tensor, of padded K: never above 0 where the plan clamps, 0 past the real
// keys.
void copy_key_gates(Worker& worker, const char* from, int64_t stride, int64_t rows, float* out);
// The same, where they lie if they can be read there, else in `room`.
Worker::Rows key_gate_rows(Worker& worker, const char* from, int64_t stride, int64_t rows, float* room);
// The weight of a token's own key: the head's BONUS, or 1.
void load_bonus(const Worker& worker, int64_t head, float* out);

}  // namespace lathe
