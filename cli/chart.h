// Charts as SVG, in the colours of the page that holds them: classes c0, c1 ... of its style.
#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

struct Line {
  std::string name, label;  // both stand at the end of the line, the label below the name
  int colour;
  std::vector<std::pair<double, double>> points;
  bool dashed = false;
};

enum class Unit { kSeconds, kTokens, kPlain };

struct Axis {
  std::string name;
  Unit unit = Unit::kPlain;
  bool logarithmic = false;
};

struct LineChart {
  std::string name;  // read aloud where the chart cannot be seen
  Axis x, y;
  std::vector<Line> lines;
  std::string note;  // inside the chart: why a line is missing
  int width = 720, height = 340;
};

struct Bar {
  std::string name, value;
  double length;
  int colour;
};

std::string as_svg(const LineChart& chart);
std::string bars_as_svg(const std::string& name, const std::vector<Bar>& bars);

// "3.2 µs", "45 ms", "1.2 s".
std::string time_text(double seconds);
// "784", "4k", "1M".
std::string token_text(double tokens);
std::string escaped(const std::string& text);

}  // namespace lathe::cli
