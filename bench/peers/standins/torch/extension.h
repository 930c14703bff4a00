// A stand-in for the few names of torch that fast-transformers' causal product uses, so that its source compiles
// unchanged without torch: a strided float tensor of up to four dimensions over somebody's memory, or over its own.
#ifndef LATHE_BENCH_TORCH_STANDIN_H
#define LATHE_BENCH_TORCH_STANDIN_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>

namespace torch {

struct TensorOptions {};

template <typename T, int N>
class TensorAccessor {
 public:
  TensorAccessor(T *data, const int64_t *strides) : data_(data), strides_(strides) {}
  TensorAccessor<T, N - 1> operator[](int64_t i) const { return {data_ + i * strides_[0], strides_ + 1}; }

 private:
  T *data_;
  const int64_t *strides_;
};

template <typename T>
class TensorAccessor<T, 1> {
 public:
  TensorAccessor(T *data, const int64_t *strides) : data_(data), stride_(strides[0]) {}
  T &operator[](int64_t i) const { return data_[i * stride_]; }

 private:
  T *data_;
  int64_t stride_;
};

class Tensor {
 public:
  Tensor(float *data, std::array<int64_t, 4> sizes, std::array<int64_t, 4> strides)
      : data_(data), sizes_(sizes), strides_(strides) {}
  explicit Tensor(int64_t count) : owned_(new float[static_cast<size_t>(count)]), data_(owned_.get()), count_(count) {
    zero_();
  }

  int64_t size(int i) const { return sizes_[static_cast<size_t>(i)]; }
  TensorOptions options() const { return {}; }
  void zero_() { std::fill_n(data_, count_, 0.0f); }
  template <typename T>
  T *data_ptr() const {
    return data_;
  }
  template <typename T, int N>
  TensorAccessor<T, N> accessor() const {
    return {data_, strides_.data()};
  }

 private:
  std::shared_ptr<float[]> owned_;
  float *data_;
  int64_t count_ = 0;
  std::array<int64_t, 4> sizes_ = {}, strides_ = {};
};

inline Tensor zeros(std::initializer_list<int64_t> sizes, TensorOptions) {
  int64_t count = 1;
  for (int64_t size : sizes) {
    count *= size;
  }
  return Tensor(count);
}

}  // namespace torch

// The Python module is never built: its list of functions becomes the body of a function nobody calls.
struct PythonModuleStandin {
  template <typename... Arguments>
  void def(Arguments...) {}
};
#define PYBIND11_MODULE(name, module) [[maybe_unused]] static void name(PythonModuleStandin &module)

#endif
