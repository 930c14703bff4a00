#include "compile_errors.h"

#include <Halide.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <string_view>

namespace lathe::gen {

namespace {

std::string prefix;          // of every message
std::string last_words;      // complete, since a signal handler may format nothing
char signal_stack[1 << 16];  // an overflowing stack cannot serve the handler

// Halide's messages run over several lines.
std::string one_paragraph(const char* text) {
  std::istringstream words(text);
  std::string all, word;
  while (words >> word) all += (all.empty() ? "" : " ") + word;
  return all;
}

[[noreturn]] void end(const std::string& why) {
  fmt::print(stderr, "{}{}\n", prefix, why);
  std::_Exit(1);
}

class Reporter final : public Halide::CompileTimeErrorReporter {
 public:
  void warning(const char* text) override {
    const std::string_view warning(text);
    // Without run-time checks such a kernel would write garbage and return 0.
    if (warning.find("guaranteed to fail an assertion") != warning.npos) error(text);
    // The storage kernels ask for just that.
    if (warning.find("float16 type operation is emulated") != warning.npos) return;
    fmt::print(stderr, "{}{}\n", prefix, one_paragraph(text));
  }
  // Thrown from here, an exception would meet destructors and callbacks of Halide that let none through.
  [[noreturn]] void error(const char* text) override { end(one_paragraph(text)); }
};

[[noreturn]] void on_terminate() {
  try {
    if (const auto current = std::current_exception()) std::rethrow_exception(current);
  } catch (const std::exception& error) {
    end(one_paragraph(error.what()));
  } catch (...) {
    end("an exception without a text");
  }
  end("std::terminate was called");
}

void on_signal(int) {
  if (write(STDERR_FILENO, last_words.data(), last_words.size()) < 0) _exit(1);
  _exit(1);
}

}  // namespace

void report_compile_errors(const std::string& making) {
  static Reporter reporter;
  prefix = "lathe-gen: " + making + ": ";
  last_words = prefix + "the compiler crashed; what it said, if anything, stands above\n";
  Halide::set_custom_compile_time_error_reporter(&reporter);
  std::set_terminate(on_terminate);
  stack_t stack = {};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof signal_stack;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(signal, &action, nullptr);
}

}  // namespace lathe::gen
