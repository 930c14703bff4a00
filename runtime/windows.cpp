#include "windows.h"

#include <vector>

#include "chunk.h"

namespace lathe {

namespace {

constexpr int64_t kWindow = 32;      // chunks: enough work between two meetings of the workers, and still in cache
constexpr int64_t kKeysOfTask = 16;  // rows of the state that one task carries through a window

struct Shares {
  int64_t k, kt, gate, v, h, z, chunk;  // floats: where each tile lies within a chunk's share, and the share's size
};

Shares shares(const Plan& plan, const Problem& p) {
  const Padded& d = plan.padded;
  const int64_t values = p.sizes.HV / p.sizes.HK;
  Shares s{};
  int64_t at = 0;
  const auto take = [&](int64_t floats) {
    const int64_t offset = at;
    at += (floats + 15) / 16 * 16;
    return offset;
  };
  s.k = take(d.C * d.K);
  s.kt = take(d.C * d.K);
  s.gate = take(values * d.C);
  s.v = take(values * d.C * d.V);
  s.h = take(values * d.K * d.V);
  s.z = take(d.K);
  s.chunk = at;
  return s;
}

class Window {
 public:
  Window(std::vector<Worker>& workers, char* shared, const Parallel& parallel, const Sequence& s, int64_t key_head,
         std::vector<Worker::Rows>& rows)
      : workers_(workers),
        parallel_(parallel),
        s_(s),
        key_head_(key_head),
        plan_(workers[0].plan()),
        p_(workers[0].problem()),
        group_{p_.sizes, plan_.meaning.tiled()},
        shares_(shares(plan_, p_)),
        memory_(reinterpret_cast<float*>(shared)),
        rows_(rows) {}

  // The state that enters stands in the share of chunk 0; the one that leaves comes into the share of chunk `kWindow`.
  void run(int64_t t) {
    const int64_t C = plan_.padded.C, chunks = std::min(kWindow, (s_.queries - t + C - 1) / C);
    const auto step = [&](int64_t c) { return Step{t + c * C, std::min(C, s_.queries - t - c * C), 0}; };
    share(chunks, [&](Worker& w, int64_t c) { pack(w, step(c), c); });
    const int64_t blocks = (plan_.padded.K + kKeysOfTask - 1) / kKeysOfTask;
    share(blocks + 1,
          [&](Worker& w, int64_t task) { task < blocks ? carry(w, task * kKeysOfTask, chunks) : carry_z(w, chunks); });
    share(chunks, [&](Worker& w, int64_t c) { read(w, step(c), c); });
    for (int64_t value = 0; value < group_.values(); value++)
      std::copy_n(h(chunks, value), plan_.padded.K * plan_.padded.V, h(0, value));
    std::copy_n(z(chunks), plan_.padded.K, z(0));
  }

  float* h(int64_t c, int64_t value) {
    return memory_ + c * shares_.chunk + shares_.h + value * plan_.padded.K * plan_.padded.V;
  }
  float* z(int64_t c) { return memory_ + c * shares_.chunk + shares_.z; }

 private:
  // Each worker has a stretch of its own, the same in every phase: what it packed is still in its cache when it reads.
  template <typename Task>
  void share(int64_t n, Task task) {
    const auto slots = static_cast<int64_t>(workers_.size());
    const auto stretch = [&](int slot) {
      for (int64_t i = n * slot / slots; i < n * (slot + 1) / slots; i++) task(workers_[static_cast<size_t>(slot)], i);
    };
    // by reference: nothing may be allocated, and so fail, once a state was written
    parallel_(static_cast<int>(slots), std::ref(stretch));
  }

  Worker::Rows& keys(int64_t c) { return rows_[static_cast<size_t>(c * (group_.values() + 1))]; }
  Worker::Rows& values(int64_t c, int64_t value) { return *(&keys(c) + 1 + value); }

  ChunkTiles tiles(int64_t c, int64_t value) {
    float* at = memory_ + c * shares_.chunk;
    return {keys(c), at + shares_.kt, at + shares_.gate + value * plan_.padded.C, values(c, value)};
  }

  void pack(Worker& w, const Step& step, int64_t c) {
    float* share = memory_ + c * shares_.chunk;
    keys(c) = w.map_rows(LATHE_K, step, s_, key_head_, 0, share + shares_.k);
    w.transpose(keys(c), share + shares_.kt);
    for (int64_t value = 0; value < group_.values(); value++) {
      const int64_t head = group_.head(p_.sizes.HV, key_head_, value);
      float* v = share + shares_.v + value * plan_.padded.C * plan_.padded.V;
      values(c, value) = w.values(s_, step.t, step.rows, head, v);
      Chunk(w, s_).fill_gate(head, step.rows, 0, tiles(c, value).gate);
    }
  }

  void carry(Worker& w, int64_t first, int64_t chunks) {
    const int64_t keys = std::min(kKeysOfTask, plan_.padded.K - first);
    for (int64_t value = 0; value < group_.values(); value++)
      for (int64_t c = 0; c < chunks; c++)
        Chunk(w, s_).advance(tiles(c, value), first, keys, h(c, value), h(c + 1, value));
  }

  void carry_z(Worker& w, int64_t chunks) {
    for (int64_t c = 0; c < chunks && plan_.meaning.normalise(); c++)
      Chunk(w, s_).advance_z(tiles(c, 0), z(c), z(c + 1));
  }

  void read(Worker& w, const Step& step, int64_t c) {
    const Chunk chunk(w, s_);
    Worker::Rows queries{};
    int64_t mapped = -1;
    for (int64_t l = 0; l < group_.outputs(); l++) {
      const int64_t value = group_.value_of(l), query_head = group_.head(p_.sizes.HQ, key_head_, group_.query_of(l));
      if (query_head != mapped) queries = w.map_rows(LATHE_Q, step, s_, query_head, 0, w.q());
      mapped = query_head;
      chunk.outputs(step, queries, tiles(c, value), h(c, value), z(c), group_.head(p_.sizes.out_heads(), key_head_, l));
    }
  }

  std::vector<Worker>& workers_;
  const Parallel& parallel_;
  const Sequence& s_;
  const int64_t key_head_;
  const Plan& plan_;
  const Problem& p_;
  const Group group_;
  const Shares shares_;
  float* memory_;
  std::vector<Worker::Rows>& rows_;  // where each chunk's mapped keys and then its values lie
};

}  // namespace

bool wants_windows(const Plan& plan, const Problem& p, int64_t units) {
  // a stabiliser's maximum runs through the keys, which are packed in any order here
  return plan.meaning.op->op == Op::kCausal && !plan.meaning.stabilise() && units < plan.threads &&
         p.sizes.Tq >= 8 * plan.padded.C && !wants_columns(plan, p, units);
}

size_t window_bytes(const Plan& plan, const Problem& p) {
  return static_cast<size_t>((kWindow + 1) * shares(plan, p).chunk) * sizeof(float);
}

void run_windows(Room& room, char* shared, const Parallel& parallel) {
  std::vector<Worker>& workers = room.workers;
  Worker& first = workers[0];
  const Plan& plan = first.plan();
  const Problem& p = first.problem();
  const Group group{p.sizes, plan.meaning.tiled()};
  room.rows.resize(static_cast<size_t>(kWindow * (group.values() + 1)));
  for (int64_t n = 0; n < p.sizes.N; n++)
    for (int64_t head = 0; head < p.sizes.HK; head++) {
      const Sequence s = sequence(p, n);
      const Unit unit{n, head, 1};
      if (s.queries < 2 * plan.padded.C) {
        run_causal(first, unit);
        continue;
      }
      first.zero_outputs(s, unit);
      first.load(s, unit);
      Window window(workers, shared, parallel, s, head, room.rows);
      const int64_t state = plan.padded.K * plan.padded.V;
      for (int64_t value = 0; value < group.values(); value++)
        std::copy_n(first.state(0, value), state, window.h(0, value));
      std::copy_n(first.z(0), plan.padded.K, window.z(0));
      for (int64_t t = 0; t < s.queries; t += kWindow * plan.padded.C) window.run(t);
      for (int64_t value = 0; value < group.values(); value++)
        std::copy_n(window.h(0, value), state, first.state(0, value));
      std::copy_n(window.z(0), plan.padded.K, first.z(0));
      first.save(s, unit);
    }
}

}  // namespace lathe
