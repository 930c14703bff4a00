// A peer in a shared library, called in this process on the case's own buffers.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "peers.h"
#include "peers/peer.h"

namespace lathe::bench {

namespace {

class Library : public Solver {
 public:
  explicit Library(Problem& problem) : problem_(problem) {
    if (problem.what.op != "decode") return;
    // Its own copy: lathe's moves on in place.
    const int64_t count = static_cast<int64_t>(state_bytes(problem.what)) / 4;
    for (int64_t i = 0; i < count; i++) state_.push_back(problem.first(Tensor::kState, i));
  }
  ~Library() override {
    if (peer_ != nullptr) close_(peer_);
    // The library itself stays loaded: its threads may outlive the call that ended them.
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  bool open(const std::filesystem::path& file, std::string* why) {
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      *why = dlerror();
      return false;
    }
    const auto open_function = reinterpret_cast<PeerOpen>(dlsym(handle, "peer_open"));
    run_ = reinterpret_cast<PeerRun>(dlsym(handle, "peer_run"));
    close_ = reinterpret_cast<PeerClose>(dlsym(handle, "peer_close"));
    if (open_function == nullptr || run_ == nullptr || close_ == nullptr) {
      *why = file.string() + " lacks the functions of peer.h";
      return false;
    }
    char text[256] = "";
    const PeerProblem described = describe();
    peer_ = open_function(&described, text, sizeof text);
    if (peer_ == nullptr) *why = text;
    return peer_ != nullptr;
  }

  double seconds(int repeats) override {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; i++) run_(peer_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::vector<float> output() override { return problem_.output(); }
  std::string note() const override { return ""; }

 private:
  PeerProblem describe() {
    const Case& c = problem_.what;
    PeerProblem described = {};
    described.op = c.op.c_str();
    described.variant = c.variant.c_str();
    described.map = c.map.c_str();
    described.normalise = c.normalise ? 1 : 0;
    described.layout = c.layout == Layout::kBhtd ? PEER_BHTD : PEER_BTHD;
    described.threads = c.threads;
    described.batch = c.shape.batch;
    described.tokens = c.shape.tokens;
    described.heads = c.shape.query_heads;
    described.key_width = key_width(c);
    described.value_width = c.shape.value_width;
    described.scale = problem_.scale;
    const int64_t width = std::max<int64_t>(gate_width(c), 1), n = c.shape.batch * c.shape.tokens * c.shape.key_heads;
    if (has_steps(c)) gates_.assign(static_cast<size_t>(c.shape.key_heads), problem_.log_decay);
    for (int64_t i = 0; i < n * width && c.variant != "plain" && !has_steps(c); i++)
      gates_.push_back(
          problem_.log_decay_at(0, i / width / c.shape.key_heads, i / width % c.shape.key_heads, i % width));
    described.gate_width = width;
    described.log_gates = gates_.empty() ? nullptr : gates_.data();
    described.bonus = has_bonus(c) ? problem_.bonus.floats() : nullptr;
    described.steps = has_steps(c) ? problem_.steps.floats() : nullptr;
    described.betas = corrects(c) ? problem_.beta.floats() : nullptr;
    described.reads = has_rows(c) ? problem_.reads.floats() : nullptr;
    described.adds = has_rows(c) ? problem_.adds.floats() : nullptr;
    described.q = problem_.q.floats();
    described.k = problem_.k.floats();
    described.v = problem_.v.floats();
    described.state_in = state_.empty() ? nullptr : state_.data();
    described.o = problem_.o.floats();
    described.d_o = problem_.d_o.floats();
    described.d_q = problem_.d_q.floats();
    described.d_k = problem_.d_k.floats();
    described.d_v = problem_.d_v.floats();
    return described;
  }

  Problem& problem_;
  std::vector<float> state_, gates_;
  PeerRun run_ = nullptr;
  PeerClose close_ = nullptr;
  void* peer_ = nullptr;
};

}  // namespace

std::unique_ptr<Solver> open_library(const std::filesystem::path& file, Problem& problem, std::string* why) {
  auto library = std::make_unique<Library>(problem);
  if (!library->open(file, why)) return nullptr;
  return library;
}

}  // namespace lathe::bench
