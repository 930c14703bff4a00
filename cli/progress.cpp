#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace lathe::cli {

namespace {

constexpr int kWidth = 24;

}  // namespace

Progress::Progress(std::string what) : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0) { at(0); }

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::at(double fraction, const std::string& note) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  const auto now = std::chrono::steady_clock::now();
  if (terminal_) {
    if (now - last_ < std::chrono::milliseconds(50) && fraction < 1) return;
    std::string bar;
    for (int i = 0; i < kWidth; i++) bar += i < fraction * kWidth ? "━" : "╌";
    fmt::print(stderr, "\r\x1b[K  {:24} {} {:3.0f} %  {}", what_, bar, 100 * fraction, note);
    std::fflush(stderr);
  } else {
    const bool soon = now - last_ < std::chrono::seconds(10);
    if (said_ >= 0 && (soon || fraction - said_ < 0.01) && !(fraction >= 1 && said_ < 1)) return;
    fmt::print(stderr, "{}: {:.0f} %{}{}\n", what_, 100 * fraction, note.empty() ? "" : ", ", note);
    said_ = fraction;
  }
  last_ = now;
}

}  // namespace lathe::cli
