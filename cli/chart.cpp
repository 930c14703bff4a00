#include "chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lathe::cli {

namespace {

constexpr double kLeft = 58, kRight = 200, kTop = 14, kBottom = 46, kLabelHeight = 34;

// From values to pixels, and where the marks are.
class Scale {
 public:
  Scale(const Axis& axis, double low, double high, double from, double to) : axis_(axis), from_(from), to_(to) {
    if (axis.logarithmic && axis.unit != Unit::kTokens) {
      low = std::pow(10, std::floor(std::log10(low)));
      high = std::pow(10, std::ceil(std::log10(high)));
    } else if (!axis.logarithmic) {
      low = 0;
    }
    low_ = place(low);
    high_ = std::max(place(high), low_ + 1e-12);
    mark(low, high);
  }
  double at(double value) const { return from_ + (place(value) - low_) / (high_ - low_) * (to_ - from_); }
  const std::vector<double>& marks() const { return marks_; }

 private:
  double place(double value) const { return axis_.logarithmic ? std::log10(value) : value; }
  void mark(double low, double high) {
    if (axis_.logarithmic) {
      const double factor = axis_.unit == Unit::kTokens ? 2 : 10;
      for (double x = low; x <= high * 1.001; x *= factor) marks_.push_back(x);
      return;
    }
    const double rough = (high - low) / 5, magnitude = std::pow(10, std::floor(std::log10(rough)));
    const double digit = rough / magnitude;
    const double step = (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10) * magnitude;
    for (double x = low; x <= high * 1.001; x += step) marks_.push_back(x);
  }

  Axis axis_;
  double from_, to_, low_ = 0, high_ = 1;
  std::vector<double> marks_;
};

std::string mark_text(const Axis& axis, double value) {
  if (axis.unit == Unit::kSeconds) return value == 0 ? "0" : time_text(value);
  if (axis.unit == Unit::kTokens && axis.logarithmic) return token_text(value);
  return fmt::format("{:g}", value);
}

struct EndLabel {
  const Line* line;
  double x, y;
};

// At the ends of their lines, moved apart where they would overlap.
std::vector<EndLabel> end_labels(const LineChart& chart, const Scale& x, const Scale& y) {
  std::vector<EndLabel> labels;
  for (const Line& line : chart.lines)
    if (!line.points.empty())
      labels.push_back({&line, x.at(line.points.back().first), y.at(line.points.back().second)});
  std::sort(labels.begin(), labels.end(), [](const EndLabel& a, const EndLabel& b) { return a.y < b.y; });
  const double lowest = chart.height - kBottom - kLabelHeight / 2;
  for (size_t i = 1; i < labels.size(); i++) labels[i].y = std::max(labels[i].y, labels[i - 1].y + kLabelHeight);
  for (size_t i = labels.size(); i-- > 0;)
    labels[i].y = std::min(labels[i].y, i + 1 < labels.size() ? labels[i + 1].y - kLabelHeight : lowest);
  return labels;
}

std::string grid(const LineChart& chart, const Scale& x, const Scale& y) {
  const double right = chart.width - kRight, bottom = chart.height - kBottom;
  std::string svg;
  for (double mark : y.marks())
    svg += fmt::format(
        "<line class='grid' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>"
        "<text class='mark' x='{3:.1f}' y='{4:.1f}' text-anchor='end'>{5}</text>\n",
        kLeft, right, y.at(mark), kLeft - 8, y.at(mark) + 4, mark_text(chart.y, mark));
  for (double mark : x.marks())
    svg += fmt::format("<text class='mark' x='{:.1f}' y='{:.1f}' text-anchor='middle'>{}</text>\n", x.at(mark),
                       bottom + 18, mark_text(chart.x, mark));
  svg +=
      fmt::format("<line class='axis' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>\n", kLeft, right, bottom);
  svg += fmt::format("<text class='name' x='{:.1f}' y='{:.1f}' text-anchor='middle'>{}</text>\n", (kLeft + right) / 2,
                     bottom + 38, escaped(chart.x.name));
  return svg;
}

std::string curve(const Line& line, const LineChart& chart, const Scale& x, const Scale& y) {
  std::string path, dots;
  for (const auto& [at, value] : line.points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.at(at), y.at(value));
    if (line.points.size() <= 40)
      dots += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3'><title>{}: {} at {}</title></circle>", x.at(at),
                          y.at(value), escaped(line.name), mark_text(chart.y, value), mark_text(chart.x, at));
  }
  return fmt::format("<g class='c{}'><path class='line{}' d='{}'/>{}</g>\n", line.colour, line.dashed ? " dashed" : "",
                     path, dots);
}

}  // namespace

std::string as_svg(const LineChart& chart) {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  for (const Line& line : chart.lines)
    for (const auto& [x, y] : line.points) {
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
  const Scale x(chart.x, x_low, x_high, kLeft, chart.width - kRight);
  const Scale y(chart.y, y_low, y_high, chart.height - kBottom, kTop);
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>\n", chart.width, chart.height,
                                escaped(chart.name));
  svg += grid(chart, x, y);
  for (const Line& line : chart.lines) svg += curve(line, chart, x, y);
  if (!chart.note.empty())
    svg +=
        fmt::format("<text class='mark' x='{:.1f}' y='{:.1f}'>{}</text>\n", kLeft + 12, kTop + 16, escaped(chart.note));
  for (const EndLabel& label : end_labels(chart, x, y))
    svg += fmt::format(
        "<text class='end c{}' x='{:.1f}' y='{:.1f}'>{}</text>"
        "<text class='mark' x='{:.1f}' y='{:.1f}'>{}</text>\n",
        label.line->colour, label.x + 10, label.y - 1, escaped(label.line->name), label.x + 10, label.y + 14,
        escaped(label.line->label));
  return svg + "</svg>\n";
}

std::string bars_as_svg(const std::string& name, const std::vector<Bar>& bars) {
  constexpr double kNames = 150, kRow = 30, kWidth = 720, kRoom = 70;
  double longest = 0;
  for (const Bar& bar : bars) longest = std::max(longest, bar.length);
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>\n", kWidth,
                                kRow * static_cast<double>(bars.size()) + 4, escaped(name));
  for (size_t i = 0; i < bars.size(); i++) {
    const double y = kRow * static_cast<double>(i) + 4;
    const double length = bars[i].length / longest * (kWidth - kNames - kRoom);
    svg += fmt::format(
        "<text class='row' x='{:.1f}' y='{:.1f}' text-anchor='end'>{}</text>"
        "<rect class='bar c{}' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='20' rx='3'/>"
        "<text class='value' x='{:.1f}' y='{:.1f}'>{}</text>\n",
        kNames - 10, y + 15, escaped(bars[i].name), bars[i].colour, kNames, y, length, kNames + length + 8, y + 15,
        escaped(bars[i].value));
  }
  return svg + "</svg>\n";
}

std::string time_text(double seconds) {
  constexpr std::pair<double, const char*> kUnits[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}};
  for (const auto& [unit, name] : kUnits) {
    const double value = seconds / unit;
    if (value < 0.9995 && unit > 1e-9) continue;
    if (value >= 99.5) return fmt::format("{:.0f} {}", value, name);
    const std::string text = fmt::format("{:.{}f}", value, value < 9.95 ? 1 : 0);
    return fmt::format("{} {}", text.ends_with(".0") ? text.substr(0, text.size() - 2) : text, name);
  }
  return "0";
}

std::string token_text(double tokens) {
  if (tokens >= 1024 * 1024) return fmt::format("{:g}M", tokens / (1024 * 1024));
  return tokens >= 1024 ? fmt::format("{:g}k", tokens / 1024) : fmt::format("{:g}", tokens);
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '\'')
      safe += "&#39;";
    else
      safe += c;
  }
  return safe;
}

}  // namespace lathe::cli
