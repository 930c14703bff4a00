// RWKV-7, or any diagonal plus a product of two rows: what A reads of the state before a token is added to it by B,
// beside what the gates leave of each row and the token's own key and value.
#include <cmath>

#include "reference.h"

namespace reference {
namespace {

using Numbers = std::vector<double>;

double dot(const Numbers& x, const Numbers& y) {
  double sum = 0;
  for (size_t c = 0; c < x.size(); ++c) sum += x[c] * y[c];
  return sum;
}

// The norm of diag(left) + b^T a, by powers of its square.
double stretch(const Numbers& left, const Numbers& a, const Numbers& b) {
  Numbers x;
  for (size_t c = 0; c < a.size(); ++c) x.push_back(1 + left[c] + std::abs(a[c]));
  double size = 0;
  for (int step = 0; step < 30; ++step) {
    const double length = norm(x);
    for (double& y : x) y /= length;
    const double read = dot(a, x);
    for (size_t c = 0; c < x.size(); ++c) x[c] = left[c] * x[c] + b[c] * read;
    size = norm(x);
    if (size == 0) return 0;
    const double back = dot(b, x);
    for (size_t c = 0; c < x.size(); ++c) x[c] = left[c] * x[c] + a[c] * back;
  }
  return size;
}

Answers rwkv7(const Problem& p) {
  const Decay left_by = left_by_gates(p);
  const auto K = static_cast<size_t>(map_width(p)), V = static_cast<size_t>(p.V);
  return scan(p, left_by, {}, {}, [&](int64_t token, int64_t head, const Numbers& state) {
    const size_t first = static_cast<size_t>(token * p.state_heads() + head) * K;
    Numbers left, a, b;
    for (size_t c = 0; c < K; ++c) {
      left.push_back(left_by(token, head, static_cast<int64_t>(c)));
      a.push_back(p.a[first + c]);
      b.push_back(p.b[first + c]);
    }
    Moved moved{{b, b}, {{}, {}, stretch(left, a, b)}};
    for (double& size : moved.row.size) size = std::abs(size);
    for (size_t e = 0; e < V; ++e) {
      Numbers column;
      for (size_t c = 0; c < K; ++c) column.push_back(state[c * V + e]);
      moved.read.value.push_back(dot(a, column));
      moved.read.size.push_back(norm(a) * norm(column));
    }
    return moved;
  });
}

const AnnounceVariant announced("rwkv7",
                                {.causal = rwkv7, .epsilons = 10, .takes_key_gates = true, .takes_rows = true});

}  // namespace
}  // namespace reference
