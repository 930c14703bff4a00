#include "page.h"

#include <fmt/format.h>

#include "chart.h"
#include "page_style.h"

namespace lathe::cli {

namespace {

using Json = nlohmann::json;

std::string figure(const std::string& svg, const std::string& caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n", svg, caption);
}

std::string check(bool well, const std::string& text) {
  return fmt::format("<p class='{}'>{}</p>\n", well ? "check" : "wrong", escaped(text));
}

std::string tile(const std::string& figure_text, const std::string& words) {
  return fmt::format("<div class='tile'><b>{}</b>{}</div>\n", escaped(figure_text), escaped(words));
}

std::string tiles(const Demo& demo) {
  std::string html =
      tile(fmt::format("{:.2f} bits", demo.reading.mixture),
           fmt::format("per byte of the text for the memory; {:.2f} for knowing how often each byte occurs",
                       demo.reading.order0));
  const Generation& last = demo.headline.generations.back();
  const double cached = integrated(last.cached, last.length);
  html += cached > 0 ? tile(fmt::format("{:.0f}× faster", cached / last.lathe_seconds),
                            fmt::format("to generate {} positions than softmax with a key-value cache", last.length))
                     : tile(time_text(last.lathe_seconds), fmt::format("to generate {} positions", last.length));
  const Point& longest = demo.headline.sweep.points.back();
  return "<div class='tiles'>\n" + html +
         tile(time_text(longest.seconds),
              fmt::format("to read {} tokens with causal linear attention, 8 heads of 32", token_text(longest.x))) +
         "</div>\n";
}

std::string memory_section(const Demo& demo) {
  const Reading& r = demo.reading;
  std::vector<Bar> bars = {{"order 0, no memory", fmt::format("{:.3f}", r.order0), r.order0, 3}};
  for (size_t h = 0; h < kHeads; h++)
    bars.push_back({h == 0 ? "head 1: 1 byte" : fmt::format("head {0}: {0} bytes", h + 1),
                    fmt::format("{:.3f}", r.heads[h]), r.heads[h], 2});
  bars.push_back({"mixture", fmt::format("{:.3f}", r.mixture), r.mixture, 0});
  std::string html = "<section><h2>A memory of fast weights reads a text</h2>\n";
  html += fmt::format("<p class='soft'>{}: {} bytes{}, read in segments of {} in {}, the state carried on.</p>",
                      escaped(demo.text.name), demo.text.bytes.size(),
                      demo.text.whole > demo.text.bytes.size() ? fmt::format(" of {}", demo.text.whole) : "", kSegment,
                      time_text(r.seconds_reading));
  html += figure(bars_as_svg("bits per byte of each head and of their mixture", bars),
                 "Bits per byte; less is better. " + escaped(memory_in_words()));
  LineChart so_far{"bits per byte so far", {"bytes read"}, {"bits per byte"}, {}, "", 720, 220};
  Line line{"mixture", fmt::format("{:.2f} bits per byte", r.mixture), 0, {}};
  for (size_t i = 0; i < r.so_far.size(); i++)
    line.points.emplace_back(static_cast<double>((i + 1) * demo.text.bytes.size() / r.so_far.size()), r.so_far[i]);
  so_far.lines.push_back(line);
  if (!line.points.empty())
    html += figure(as_svg(so_far), "Bits per byte of the mixture, over all that was read so far.");
  html += check(r.wrong_counts == 0, fmt::format("The one-byte head equals direct counts in {} of {} readouts",
                                                 r.readouts - r.wrong_counts, r.readouts));
  html += check(r.decode_difference == 0,
                fmt::format("Decode = parallel: over the {} bytes below, and in the state after them, the largest "
                            "difference is {:g}",
                            r.continuation.size(), r.decode_difference));
  const std::string end(demo.text.bytes.end() - static_cast<long>(std::min<size_t>(demo.text.bytes.size(), 120)),
                        demo.text.bytes.end());
  html += fmt::format(
      "<p>The text ends, and the decode kernel writes on ({} a byte):</p><pre><i>{}</i>{}</pre></section>\n",
      time_text(r.seconds_writing / static_cast<double>(r.continuation.size())), escaped(printable(end)),
      escaped(printable(r.continuation)));
  return html;
}

// Of softmax, from the steps that were timed: each stands for the stretch around it.
Line softmax_line(const std::string& name, const std::string& rival, const Curve& steps, int64_t length, int colour) {
  Line line{name, fmt::format("{}, {}", time_text(integrated(steps, length)), rival), colour, {}};
  const double stretch = static_cast<double>(length) / static_cast<double>(steps.points.size());
  double sum = 0;
  for (size_t i = 0; i < steps.points.size(); i++) {
    sum += steps.points[i].seconds * stretch;
    line.points.emplace_back(stretch * static_cast<double>(i + 1), sum);
  }
  return line;
}

std::string rival_note(const Headline& headline) {
  return headline.no_rival.empty() ? "" : "softmax is missing here: " + headline.no_rival;
}

std::string generation_section(const Demo& demo) {
  const Headline& h = demo.headline;
  std::string html =
      "<section><h2>To generate: a constant time for each position</h2>\n"
      "<p class='soft'>One layer, 8 heads of width 32, batch 1, float32, one position after the other; "
      "elu + 1 with the normaliser.</p>\n";
  for (const Generation& g : h.generations) {
    LineChart chart{fmt::format("time to generate {} positions", g.length),
                    {"position"},
                    {"time", Unit::kSeconds, true},
                    {},
                    rival_note(h),
                    720,
                    300};
    Line lathe{"lathe", fmt::format("{} in all", time_text(g.lathe_seconds)), 0, {}};
    for (int i = 1; i <= kPositions; i++)
      lathe.points.emplace_back(static_cast<double>(g.length) * i / kPositions, g.lathe_seconds * i / kPositions);
    chart.lines.push_back(lathe);
    if (!g.cached.points.empty())
      chart.lines.push_back(softmax_line("softmax, cached", h.rival, g.cached, g.length, 1));
    if (!g.stateless.points.empty())
      chart.lines.push_back(softmax_line("softmax, stateless", h.rival, g.stateless, g.length, 2));
    std::string caption = fmt::format("Time up to each of {} positions. lathe made every step.", g.length);
    if (!h.rival.empty())
      caption += fmt::format(
          " Softmax is {}, a step timed at {} positions and integrated: with a key-value cache "
          "(MultiHeadAttention; keeping the cache is not charged), and stateless, where each step "
          "attends anew to all before it (GroupQueryAttention).",
          h.rival, g.cached.points.size());
    html += figure(as_svg(chart), caption);
  }
  return html + "</section>\n";
}

Line sweep_line(const std::string& name, const std::string& whose, const Curve& curve, int colour,
                bool dashed = false) {
  Line line{name, "", colour, {}, dashed};
  for (const Point& point : curve.points) line.points.emplace_back(point.x, point.seconds);
  if (!curve.points.empty()) line.label = fmt::format("{}{}", time_text(curve.points.back().seconds), whose);
  return line;
}

std::string sweep_section(const Demo& demo) {
  const Headline& h = demo.headline;
  LineChart chart{"time to read against tokens",
                  {"tokens", Unit::kTokens, true},
                  {"time", Unit::kSeconds, true},
                  {},
                  rival_note(h)};
  chart.lines.push_back(sweep_line("lathe, causal", "", h.sweep, 0));
  std::string caption = "Time of one causal pass; both axes logarithmic.";
  if (!h.softmax.points.empty()) {
    chart.lines.push_back(sweep_line("softmax, causal", ", " + h.rival, h.softmax, 1));
    chart.lines.push_back(sweep_line("softmax, no mask", ", " + h.rival, h.unmasked, 2, true));
    caption += fmt::format(
        " Softmax is {}: GroupQueryAttention, the faster of its causal operators here, and without a "
        "mask (another answer, twice the work) MultiHeadAttention, which then takes its flash path.",
        h.rival);
    for (const auto& [curve, name] : {std::pair{&h.softmax, "The causal curve"}, std::pair{&h.unmasked, "The other"}})
      if (!curve->stopped.empty())
        caption += fmt::format(" {} ends at {} tokens: {}.", name, token_text(curve->points.back().x), curve->stopped);
  }
  return fmt::format(
      "<section><h2>To read: linear in the length</h2><p class='soft'>Batch 1, 8 heads of width 32, "
      "float32, {} threads each.</p>{}</section>\n",
      demo.machine.at("threads").get<int>(), figure(as_svg(chart), caption));
}

std::string kernel_section(const Demo& demo) {
  std::string rows;
  std::vector<Timed> calls = demo.reading.calls;
  calls.insert(calls.end(), demo.headline.calls.begin(), demo.headline.calls.end());
  std::string before;
  for (const Timed& timed : calls) {
    const Json data = to_json(timed), &call = timed.description;
    rows += fmt::format(
        "<tr class='call'><td>{}</td><td>{}</td><td></td><td class='n'>{}</td><td class='n'>{:.1f}</td></tr>\n",
        escaped(timed.what), escaped(call.at("target")), time_text(timed.seconds / static_cast<double>(timed.tokens)),
        data.at("useful_gflops").get<double>());
    // A sweep takes the same kernels again and again.
    if (call.at("kernels").dump() == before) continue;
    before = call.at("kernels").dump();
    for (const Json& k : call.at("kernels"))
      rows += fmt::format("<tr class='kernel'><td><code>{}</code></td><td>{}</td><td colspan='3'>{}</td></tr>\n",
                          escaped(k.at("name")), escaped(k.at("record")), escaped(k.at("numbers")));
  }
  return "<section><h2>What ran</h2><p class='soft'>Each call with its row, its time and its useful flops (4 H K V a "
         "token); below it its kernels, where their numbers come from, and the numbers.</p><div class='wide'><table>"
         "<tr><th>call, kernels</th><th>row, record</th><th>numbers</th><th class='n'>a token</th>"
         "<th class='n'>GFLOP/s</th></tr>\n" +
         rows + "</table></div></section>\n";
}

std::string machine_line(const Demo& demo) {
  std::string caches;
  for (const Json& cache : demo.machine.at("caches"))
    caches += fmt::format(", {} {}", cache.at("name").get<std::string>(), cache.at("size").get<std::string>());
  return fmt::format("{}, known as {}{}, {} threads; lathe {}, {}", demo.machine.at("model").get<std::string>(),
                     demo.machine.at("uarch").get<std::string>(), caches, demo.machine.at("threads").get<int>(),
                     demo.machine.at("lathe").get<std::string>(), demo.date);
}

}  // namespace

std::string as_page(const Demo& demo) {
  return fmt::format(
             "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>lathe demo</title>"
             "<meta name='viewport' content='width=device-width, initial-scale=1'><style>{}</style></head>"
             "<body><main>\n<h1>Linear attention, generated for this processor</h1>\n<p class='soft'>{}</p>\n",
             kPageStyle, escaped(machine_line(demo))) +
         tiles(demo) + memory_section(demo) + generation_section(demo) + sweep_section(demo) + kernel_section(demo) +
         "</main></body></html>\n";
}

}  // namespace lathe::cli
