// The arguments of a call of the C library: tensors that own their shapes.
#pragma once

#include <lathe.h>

#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

namespace lathe::cli {

// Tensors by role. The memory is the caller's; extents of -1 are free, and such arguments only make plans.
class Arguments {
 public:
  // No strides: compact, row after row.
  void add(uint32_t role, const void* data, std::vector<int64_t> shape, const std::string& dtype,
           std::vector<int64_t> strides = {}) {
    Held& held = held_.emplace_back(Held{std::move(shape), std::move(strides), {}});
    held.tensor.data = const_cast<void*>(data);
    held.tensor.device_type = 1;
    held.tensor.ndim = static_cast<int32_t>(held.shape.size());
    held.tensor.code = dtype == "bf16" ? 4 : 2;
    held.tensor.bits = dtype == "f32" ? 32 : 16;
    held.tensor.lanes = 1;
    held.tensor.shape = held.shape.data();
    held.tensor.strides = held.strides.empty() ? nullptr : held.strides.data();
    list_.push_back({role, &held.tensor});
  }
  void add(uint32_t role, const std::vector<float>& values, std::vector<int64_t> shape,
           std::vector<int64_t> strides = {}) {
    add(role, values.data(), std::move(shape), "f32", std::move(strides));
  }
  const lathe_arg* data() const { return list_.data(); }
  size_t size() const { return list_.size(); }

 private:
  struct Held {
    std::vector<int64_t> shape, strides;
    lathe_tensor tensor;
  };
  std::list<Held> held_;  // tensors point at their shapes, so neither may move
  std::vector<lathe_arg> list_;
};

}  // namespace lathe::cli
