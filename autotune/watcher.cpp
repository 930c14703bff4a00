#include "watcher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace lathe::tune {

namespace {

constexpr int kWidth = 20;
constexpr double kEvery = 10;  // seconds between plain lines

std::string counts_text(const std::map<Reason, int>& counts) {
  std::string text;
  for (const auto& [reason, count] : counts) text += fmt::format(" {} {}", name_of(reason), count);
  return text.empty() ? " nothing yet" : text;
}

// From how fast it has gone so far, and never past the time it may take.
std::string time_left(const Progress& p, double most) {
  if (p.done == 0 || p.planned <= p.done) return "";
  const double left = std::min(p.seconds / p.done * (p.planned - p.done), most - p.seconds);
  return fmt::format(" left {}:{:02}", static_cast<int>(left) / 60, std::max(0, static_cast<int>(left) % 60));
}

}  // namespace

Watcher::Watcher(std::string name, double most_seconds, bool json)
    : name_(std::move(name)),
      most_seconds_(most_seconds),
      json_(json),
      terminal_(!json && isatty(STDERR_FILENO) != 0) {}

Watcher::~Watcher() {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

void Watcher::at(const Progress& p) {
  if (json_) {
    nlohmann::json event = {{"event", p.phase},     {"name", name_},  {"done", p.done},
                            {"planned", p.planned}, {"best", p.best}, {"seconds", p.seconds}};
    if (p.entry) event["entry"] = to_line(*p.entry);
    fmt::print("{}\n", event.dump());
    std::fflush(stdout);
    return;
  }
  const bool fresh_phase = p.phase != phase_ && p.phase != "noise";
  if (!terminal_ && !fresh_phase && p.seconds - said_ < kEvery) return;
  said_ = p.seconds;
  if (p.phase != "noise") phase_ = p.phase;
  const std::string line =
      fmt::format("{} {} {}/{} best {:.3f}x (±{:.3f}){} noise {:.1f} %{}", name_, phase_, p.done, p.planned, p.best,
                  p.half_width, counts_text(p.counts), 100 * p.noise, time_left(p, most_seconds_));
  if (!terminal_) {
    fmt::print(stderr, "{}\n", line);
    return;
  }
  const int filled = p.planned > 0 ? kWidth * std::min(p.done, p.planned) / p.planned : 0;
  std::string bar;
  for (int i = 0; i < kWidth; i++) bar += i < filled ? "━" : "╌";
  fmt::print(stderr, "\r\x1b[K{} {}", bar, line);
  std::fflush(stderr);
}

}  // namespace lathe::tune
