// `lathe demo`: a memory reads a text and goes on writing it; then linear against softmax attention.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <memory>

#include "chart.h"
#include "machine_report.h"
#include "page.h"
#include "pool.h"
#include "progress.h"
#include "table.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

struct DemoOptions {
  std::string file, json, html = "lathe-demo.html";
  bool quick = false;
};

void print_reading(const Demo& demo) {
  const Reading& r = demo.reading;
  fmt::print("{}: {} bytes in {}\n", bold("memory of " + demo.text.name), demo.text.bytes.size(),
             time_text(r.seconds_reading));
  Table table({"bits per byte", ""});
  table.add({"order 0", fmt::format("{:.3f}", r.order0)});
  for (size_t h = 0; h < kHeads; h++) table.add({fmt::format("head {}", h + 1), fmt::format("{:.3f}", r.heads[h])});
  table.add({"mixture", fmt::format("{:.3f}", r.mixture)});
  fmt::print("{}", table.text());
  fmt::print("  one-byte head = direct counts in {} of {} readouts\n", r.readouts - r.wrong_counts, r.readouts);
  fmt::print("  decode = parallel: largest difference {:g} over {} bytes and the state\n", r.decode_difference,
             r.continuation.size());
  std::string line = printable(r.continuation).substr(0, 92);
  for (char& c : line) c = c == '\n' ? ' ' : c;
  fmt::print("  it goes on: {}\n", faint(line + " ..."));
}

void print_headline(const Demo& demo) {
  const Headline& h = demo.headline;
  const std::string rival = h.rival.empty() ? "softmax" : h.rival;
  Table table({"8 heads of 32", "lathe", rival + ", cached", "stateless"});
  const auto beside = [](const Curve& curve, const Generation& g) {
    if (curve.points.empty()) return std::string("-");
    const double seconds = integrated(curve, g.length);
    return fmt::format("{} ({:.0f}x)", time_text(seconds), seconds / g.lathe_seconds);
  };
  for (const Generation& g : h.generations)
    table.add({fmt::format("generate {}", g.length), time_text(g.lathe_seconds), beside(g.cached, g),
               beside(g.stateless, g)});
  fmt::print("\n{}\n{}", bold("softmax timed at positions and integrated, lathe at every step"), table.text());
  Table sweep({"one pass", "lathe", rival + ", causal", "no mask"});
  for (size_t i = 0; i < h.sweep.points.size(); i++) {
    const auto cell = [&](const Curve& c) {
      return i < c.points.size() ? time_text(c.points[i].seconds) : std::string("-");
    };
    sweep.add({token_text(h.sweep.points[i].x) + " tokens", time_text(h.sweep.points[i].seconds), cell(h.softmax),
               cell(h.unmasked)});
  }
  fmt::print("\n{}", sweep.text());
  if (!h.no_rival.empty()) fmt::print("  softmax: {}\n", h.no_rival);
}

void write(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  if (!out.flush()) throw Failure(fmt::format("{} could not be written", file));
}

std::string today() { return fmt::format("{:%Y-%m-%d}", fmt::localtime(std::time(nullptr))); }

void run(const DemoOptions& options) {
  const int threads = allowed_processors();
  Demo demo{read_text(options.file), {}, {}, machine_report(), today()};
  {
    Progress progress("reading the text");
    const double all = static_cast<double>(demo.text.bytes.size());
    demo.reading =
        read_and_write(demo.text, 240, threads, [&](size_t bytes) { progress.at(static_cast<double>(bytes) / all); });
  }
  print_reading(demo);
  {
    Progress progress("timing lathe");
    demo.headline =
        time_lathe(options.quick, threads, [&](double f, const std::string& note) { progress.at(f, note); });
  }
  {
    Progress progress("timing softmax");
    time_softmax(demo.headline, options.quick, threads,
                 [&](double f, const std::string& note) { progress.at(f, note); });
  }
  print_headline(demo);
  if (!options.json.empty()) write(options.json, as_data(demo).dump(2) + "\n");
  write(options.html, as_page(demo));
  fmt::print("\n  charts and kernels: {}\n", green(options.html));
  if (demo.reading.wrong_counts > 0) throw Failure("the one-byte head differs from direct counts");
  if (demo.reading.decode_difference > 0) throw Failure("decode differs from parallel");
}

}  // namespace

void add_demo(CLI::App& program) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* verb =
      program.add_subcommand("demo", "a fast-weight memory reads a text; linear against softmax attention");
  verb->add_option("file", options->file, "the text (default: one found on this machine); 256 KiB of it at most");
  verb->add_option("--json", options->json, "write the results here");
  verb->add_option("--html", options->html, "write the page here")->capture_default_str();
  verb->add_flag("--quick", options->quick, "fewer positions and shorter sweeps");
  verb->callback([options] { run(*options); });
}

}  // namespace lathe::cli
