// A peer in Python: a process that sleeps in a read whenever it is not told to run, so that it takes no time from
// whoever is timed beside it. It holds its own copy of the inputs, as its users would.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "peers.h"

namespace lathe::bench {

namespace {

using Json = nlohmann::json;

// A child whose standard input and output are ours.
class Child {
 public:
  Child(const std::vector<std::string>& command) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error(strerror(errno));
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], 0);
      dup2(ends[1], 1);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(ends[1]);
    socket_ = ends[0];
    if (pid_ < 0) throw std::runtime_error(strerror(errno));
  }
  // The end of its input ends it.
  ~Child() {
    close(socket_);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(const void* data, size_t bytes) {
    const auto* next = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t sent = ::send(socket_, next, bytes, MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("its process ended");
      next += sent;
      bytes -= static_cast<size_t>(sent);
    }
  }
  void receive(void* data, size_t bytes) {
    auto* next = static_cast<char*>(data);
    while (bytes > 0) {
      const ssize_t got = read(socket_, next, bytes);
      if (got <= 0) throw std::runtime_error("its process ended");
      next += got;
      bytes -= static_cast<size_t>(got);
    }
  }
  Json answer() {
    std::string line;
    for (char letter = 0; letter != '\n'; line += letter) receive(&letter, 1);
    return Json::parse(line);
  }

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
};

class Worker : public Solver {
 public:
  Worker(const std::vector<std::string>& command, const Problem& problem) : child_(command), problem_(problem) {}

  bool set_up(const std::string& op, std::string* why) {
    const Json greeting = child_.answer();
    if (!greeting.at("ok")) {
      *why = greeting.at("why");
      return false;
    }
    version_ = greeting.at("note");
    const Case& c = problem_.what;
    const Shape& s = c.shape;
    const auto shape = [&](int64_t width) {
      return c.layout == Layout::kBhtd ? Json{s.batch, s.query_heads, s.tokens, width}
                                       : Json{s.batch, s.tokens, s.query_heads, width};
    };
    // Spelled as arrays: a list of two-word lists would become an object.
    const int64_t width_of_gates = std::max<int64_t>(gate_width(c), 1);
    Json inputs = Json::array();
    const auto input = [&](const char* name, const Json& extents) { inputs.push_back(Json::array({name, extents})); };
    input("q", shape(s.width));
    input("k", shape(s.width));
    input("v", shape(s.value_width));
    if (c.op == "decode") input("state", {s.batch, heads(c), key_width(c), s.value_width});
    if (c.variant != "plain") input("gate", {s.batch, s.tokens, s.key_heads * width_of_gates});
    if (corrects(c)) input("beta", {s.batch, s.tokens, s.key_heads});
    const Json command = {{"do", "setup"},        {"op", op},
                          {"map", c.map},         {"normalise", c.normalise},
                          {"threads", c.threads}, {"scale", problem_.scale},
                          {"eps", problem_.eps},  {"variant", c.variant},
                          {"inputs", inputs},     {"layout", c.layout == Layout::kBhtd ? "BHTD" : "BTHD"}};
    say(command);
    for (const Memory* memory : {&problem_.q, &problem_.k}) send(*memory, s.width);
    send(problem_.v, s.value_width);
    if (c.op == "decode") {
      std::vector<float> state(static_cast<size_t>(state_bytes(c) / sizeof(float)));
      for (size_t i = 0; i < state.size(); i++) state[i] = problem_.first(Tensor::kState, static_cast<int64_t>(i));
      child_.send(state.data(), state.size() * sizeof(float));
    }
    if (c.variant != "plain") {
      std::vector<float> gates;
      for (int64_t i = 0; i < s.batch * s.tokens * s.key_heads * width_of_gates; i++)
        gates.push_back(problem_.log_decay_at(0, i / width_of_gates / s.key_heads, i / width_of_gates % s.key_heads,
                                              i % width_of_gates));
      child_.send(gates.data(), gates.size() * sizeof(float));
    }
    if (corrects(c))
      child_.send(problem_.beta.data(), static_cast<size_t>(s.batch * s.tokens * s.key_heads) * sizeof(float));
    const Json reply = child_.answer();
    if (reply.at("ok")) {
      note_ = reply.at("note");
      return true;
    }
    *why = reply.at("why");
    return false;
  }

  double seconds(int repeats) override {
    say({{"do", "run"}, {"repeats", repeats}});
    return child_.answer().at("ns").get<double>() * 1e-9;
  }
  std::vector<float> output() override {
    say({{"do", "output"}});
    std::vector<float> values(child_.answer().at("bytes").get<size_t>() / sizeof(float));
    child_.receive(values.data(), values.size() * sizeof(float));
    return values;
  }
  std::string note() const override { return note_.empty() ? version_ : version_ + ", " + note_; }

 private:
  void say(const Json& command) {
    const std::string line = command.dump() + "\n";
    child_.send(line.data(), line.size());
  }
  void send(const Memory& memory, int64_t width) {
    const Shape& s = problem_.what.shape;
    child_.send(memory.data(), static_cast<size_t>(s.batch * s.tokens * s.query_heads * width) * sizeof(float));
  }

  Child child_;
  const Problem& problem_;
  std::string version_, note_;
};

}  // namespace

std::unique_ptr<Solver> open_worker(const Peer& peer, const PeerFolders& folders, Problem& problem, std::string* why) {
  const Case& c = problem.what;
  const std::string op = peer.instead.empty() ? c.op : peer.instead;
  try {
    auto worker = std::make_unique<Worker>(
        std::vector<std::string>{(folders.cache / "venv" / "bin" / "python").string(), "-B",
                                 (folders.sources / "worker.py").string(), peer.file, std::to_string(c.threads)},
        problem);
    if (worker->set_up(op, why)) return worker;
  } catch (const std::exception& error) {
    *why = error.what();
  }
  return nullptr;
}

}  // namespace lathe::bench
