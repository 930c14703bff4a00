// A kernel's arguments as the runtime would bring them: tiles of one chunk, by the names that the generators give.
#pragma once

#include <HalideRuntime.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "job.h"
#include "support/guarded.h"

namespace lathe::tune {

using Kernel = int (*)(void**);

// How one set of tiles is made.
struct Setting {
  Shape shape;
  int64_t K = 0;      // of the mapped keys; 0: what the map makes of the shape
  int64_t rows = -1;  // real ones of a chunk; -1: all
  uint64_t seed = 1;
  bool in_place = false;  // an output that may stand where its input stood does
  int64_t gap = 0;        // floats between rows, which nobody may touch
  bool at_least = false;  // the denominator's second form
  int subtract = 0;       // of stabilised maps
  support::Edge edge = support::Edge::Last;
  bool guarded = true;  // between forbidden pages; else aligned, as scratch is
  int offset = 0;       // of aligned buffers, in cache lines
};

// An input as it was before any call.
struct Matrix {
  const float* data = nullptr;
  int64_t width = 0, rows = 0;
  double operator()(int64_t x, int64_t y = 0) const { return data[y * width + x]; }
};

class Tile {
 public:
  Tile(int64_t width, int64_t rows, int64_t stride, int64_t slack, int dimensions, const Setting& setting);
  Tile(const Tile&) = delete;
  Tile& operator=(const Tile&) = delete;

  int64_t width() const { return width_; }
  int64_t rows() const { return rows_; }
  float& at(int64_t x, int64_t y = 0) { return data_[y * stride_ + x]; }
  float at(int64_t x, int64_t y = 0) const { return data_[y * stride_ + x]; }
  void fill(const std::function<float(int64_t x, int64_t y)>& value);
  void put(const std::vector<float>& values);
  // The elements, row after row.
  std::vector<float> values() const;
  // Nothing was written between rows or outside.
  bool surroundings_intact() const;
  void* address() { return &buffer_; }
  // What a kernel is told of its extents, where that is less: one that goes from one part to the next by itself.
  void tell(int64_t width, int64_t rows) {
    dims_[0].extent = static_cast<int32_t>(width);
    dims_[1].extent = static_cast<int32_t>(rows);
  }
  int64_t told(int dimension) const { return dims_[dimension].extent; }

 private:
  int64_t width_, rows_, stride_;
  std::unique_ptr<support::Guarded> guarded_;
  std::unique_ptr<char[]> plain_;
  float* data_;
  halide_dimension_t dims_[2];
  halide_buffer_t buffer_{};
};

class Tiles {
 public:
  // Throws std::invalid_argument naming an argument that it does not know.
  Tiles(const Job& job, const Built& built, const Setting& setting);

  // Inputs as they were first, outputs NaN where they do not stand on an input.
  void reset();
  void call(Kernel kernel) { kernel(argv_.data()); }

  // Each argument by its name: "NAME=WxH", and numbers "NAME=N".
  std::vector<std::string> extents() const;

  const Job& job() const { return job_; }
  const Setting& setting() const { return setting_; }
  bool has(const std::string& name) const { return tiles_.contains(name); }
  Matrix input(const std::string& name) const;  // nothing where the kernel has no such input
  Tile& tile(const std::string& name) { return *tiles_.at(name); }
  const Tile& tile(const std::string& name) const { return *tiles_.at(name); }
  // The one in which an argument lies, its own or that of an input whose place it takes.
  const Tile& tile_of(const std::string& argument) const {
    const auto alias = aliases_.find(argument);
    return tile(alias == aliases_.end() ? argument : alias->second);
  }
  double number(const std::string& name) const;
  std::vector<std::string> outputs() const;
  std::vector<std::vector<float>> results() const;
  bool surroundings_intact() const;
  int64_t K() const { return K_; }            // real ones, of a map
  int64_t tokens() const { return tokens_; }  // that one call deals with

 private:
  struct Number {
    float real = 0;
    int32_t whole = 0;
  };
  void add_tile(const Argument& argument);
  void add_number(const Argument& argument);
  // Memory to ask for: the list itself, for all tiles.
  void add_asked();
  float first_value(const std::string& name, int64_t x, int64_t y) const;

  const Job& job_;
  const Built& built_;
  const Setting setting_;
  int64_t K_, padded_K_, padded_V_, padded_D_, padded_M_, past_, tokens_;
  double attribute_ = 0;
  std::map<std::string, std::unique_ptr<Tile>> tiles_;
  std::map<std::string, Number> numbers_;
  std::map<std::string, std::vector<float>> first_;
  std::map<std::string, std::string> aliases_;  // output -> the input whose place it takes
  std::vector<float> gates_;
  std::vector<void*> argv_;
  std::vector<uint64_t> asked_;
  halide_dimension_t asked_dims_[2];
  halide_buffer_t asked_buffer_{};
};

}  // namespace lathe::tune
