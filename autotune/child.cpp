#include "child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "interrupt.h"

namespace lathe::tune {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostText = size_t{16} << 20;
constexpr int kNoSuchCommand = 127;

class Pipe {
 public:
  Pipe() { open_ = pipe2(ends_.data(), O_CLOEXEC) == 0; }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  bool open() const { return open_; }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_end(size_t end) {
    if (ends_[end] >= 0) close(ends_[end]);
    ends_[end] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool open_;
};

void limit(int resource, uint64_t most) {
  const struct rlimit value = {most, most};
  setrlimit(static_cast<__rlimit_resource>(resource), &value);
}

// Between fork and exec only calls that are safe there.
[[noreturn]] void become(char** words, const Limits& limits, int in, int out, int err) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (limits.memory > 0) limit(RLIMIT_AS, limits.memory);
  limit(RLIMIT_CPU, limits.processor_seconds);
  limit(RLIMIT_CORE, 0);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) ::signal(signal, SIG_DFL);
  execvp(words[0], words);
  _exit(kNoSuchCommand);
}

bool drain(int from, std::string& into) {
  std::array<char, 1 << 16> bytes;
  const ssize_t got = read(from, bytes.data(), bytes.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (got <= 0) return false;
  if (into.size() < kMostText) into.append(bytes.data(), static_cast<size_t>(got));
  return true;
}

bool over(pid_t child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
}

// Feeds and reads the child until both of its outputs are closed, or it is over and has said all, or time is up; false
// when that was so.
class Talk {
 public:
  Talk(pid_t child, Pipe& in, Pipe& out, Pipe& err, const std::string& input, Ended& ended)
      : child_(child), in_(in), input_(input), ended_(ended) {
    fds_ = {{{in.write_end(), POLLOUT, 0}, {out.read_end(), POLLIN, 0}, {err.read_end(), POLLIN, 0}}};
    fcntl(in.write_end(), F_SETFL, O_NONBLOCK);
  }

  bool until(Clock::time_point deadline) {
    while (fds_[1].fd >= 0 || fds_[2].fd >= 0) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) return false;
      const int ready = poll(fds_.data(), fds_.size(), static_cast<int>(std::min<long>(left, kGlance)));
      // whoever it left behind may hold its outputs open: ssh does, for the next one to use
      if (ready == 0 && over(child_)) return true;
      if (ready <= 0) continue;
      if (fds_[0].revents) feed();
      if (fds_[1].revents && !drain(fds_[1].fd, ended_.out)) fds_[1].fd = -1;
      if (fds_[2].revents && !drain(fds_[2].fd, ended_.err)) fds_[2].fd = -1;
    }
    return true;
  }

 private:
  void feed() {
    const ssize_t put = write(fds_[0].fd, input_.data() + fed_, input_.size() - fed_);
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (put > 0) fed_ += static_cast<size_t>(put);
    if (put > 0 && fed_ < input_.size()) return;
    in_.close_end(1);
    fds_[0].fd = -1;
  }

  static constexpr long kGlance = 50;  // milliseconds

  std::array<pollfd, 3> fds_;
  pid_t child_;
  Pipe& in_;
  const std::string& input_;
  size_t fed_ = 0;
  Ended& ended_;
};

bool gone(pid_t child, int& status, double seconds) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (true) {
    const pid_t got = waitpid(child, &status, WNOHANG);
    if (got == child || (got < 0 && errno != EINTR)) return true;
    if (Clock::now() >= deadline) return false;
    usleep(1000);
  }
}

bool speaks_of_memory(const std::string& text) {
  for (const char* words : {"bad_alloc", "out of memory", "Out of memory", "Cannot allocate memory"})
    if (text.find(words) != std::string::npos) return true;
  return false;
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return "";
  const size_t start = text.rfind('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1, std::min<size_t>(end - start, 400));
}

}  // namespace

bool Ended::by_others() const { return how == End::signalled && (code == SIGTERM || code == SIGINT); }

std::string Ended::text() const {
  const std::string said = last_line(err);
  const std::string tail = said.empty() ? "" : ": " + said;
  switch (how) {
    case End::exited:
      return fmt::format("exited with {}{}", code, tail);
    case End::signalled:
      return fmt::format("signal {} ({}){}", code, strsignal(code), tail);
    case End::timed_out:
      return fmt::format("killed after {:.1f} s", seconds);
    case End::not_started:
      break;
  }
  return "could not be started" + tail;
}

Ended run_child(const std::vector<std::string>& command, const std::string& input, const Limits& limits) {
  Ended ended;
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  Pipe in, out, err;
  const auto start = Clock::now();
  const pid_t child = in.open() && out.open() && err.open() ? fork() : -1;
  if (child == 0) become(words.data(), limits, in.read_end(), out.write_end(), err.write_end());
  if (child < 0) {
    ended.err = std::strerror(errno);
    return ended;
  }
  const Group group(child);
  in.close_end(0);
  out.close_end(1);
  err.close_end(1);
  const auto deadline =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits.seconds));
  const bool silent = Talk(child, in, out, err, input, ended).until(deadline);
  int status = 0;
  const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
  if (!silent || !gone(child, status, left)) {
    ended.how = End::timed_out;
    kill(-child, SIGTERM);
    if (!gone(child, status, limits.grace)) {
      kill(-child, SIGKILL);
      gone(child, status, 1e9);
    }
  }
  // whatever it started and left behind
  kill(-child, SIGKILL);
  ended.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (ended.how == End::timed_out) return ended;
  ended.how = WIFSIGNALED(status) ? End::signalled : End::exited;
  ended.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  if (ended.how == End::signalled && ended.code == SIGXCPU) ended.how = End::timed_out;
  if (ended.how == End::exited && ended.code == kNoSuchCommand) {
    ended.how = End::not_started;
    ended.err += fmt::format("\n'{}' was not found or is not executable", command[0]);
  }
  // nobody but the system's own killer sends SIGKILL to a child that kept its time
  const bool killed = ended.how == End::signalled && ended.code == SIGKILL;
  ended.out_of_memory = !ended.well() && (killed || speaks_of_memory(ended.err));
  return ended;
}

}  // namespace lathe::tune
