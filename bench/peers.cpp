#include "peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace lathe::bench {

const std::vector<Peer>& known_peers() {
  static const std::vector<Peer> kPeers = {
      {"numpy", "numpy_chunked", true, ""}, {"onnxruntime", "onnxruntime_linear", true, ""},
      {"ggml", "ggml", false, ""},          {"fast-transformers", "fast_transformers", false, ""},
      {"torch", "torch_chunked", true, ""}, {"onnxruntime-softmax", "onnxruntime_softmax", true, "softmax"},
  };
  return kPeers;
}

std::string absence(const Peer& peer, const PeerFolders& folders) {
  const auto needed =
      peer.python ? folders.cache / "venv" / "bin" / "python" : folders.cache / "build" / (peer.file + ".so");
  if (std::filesystem::exists(needed)) return "";
  return fmt::format("{} is not there: {}/fetch.sh {} fetches the peers", needed.string(), folders.sources.string(),
                     folders.cache.string());
}

bool races(const Peer& peer, const Case& c) {
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), peer.name) != names.end();
  };
  const bool bare = c.map == "identity" && !c.normalise, by_token = c.layout == Layout::kBthd;
  if (c.dtype != "f32" || c.shape.query_heads != c.shape.key_heads || !(bare || c.map == "elu1")) return false;
  // States beyond the caches are held against the memory, and no peer takes a batch of them in place.
  if (moves(c) || c.keys > 1) return false;
  const bool onnx = is({"onnxruntime"}) && !has_bonus(c) && !has_steps(c) && !has_rows(c);
  if (c.op == "decode") return bare && c.shape.batch == 1 && (onnx || is({"ggml"}));
  if (is_backward(c)) return bare && c.variant == "plain" && c.op == "causal_backward" && is({"fast-transformers"});
  if (c.variant != "plain") return by_token && (onnx || is({"ggml"}));
  if (c.op == "noncausal") return is({"numpy"});
  if (c.op != "causal") return false;
  if (is({"numpy", "torch"})) return true;
  // Neither feature map nor normaliser: never charged for work that they do not do.
  if (bare) return is({"fast-transformers"}) || (by_token && is({"onnxruntime", "ggml"}));
  // Softmax grows with the square of T.
  return by_token && c.shape.tokens <= 8192 && is({"onnxruntime-softmax"});
}

std::unique_ptr<Solver> open_peer(const Peer& peer, const PeerFolders& folders, Problem& problem, std::string* why) {
  if (peer.python) return open_worker(peer, folders, problem, why);
  return open_library(folders.cache / "build" / (peer.file + ".so"), problem, why);
}

}  // namespace lathe::bench
