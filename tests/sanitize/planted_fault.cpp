// Faults for a sanitizer to find, one in a kernel and one in the runtime: a preset that does not report these sees
// nothing. usage: lathe_planted_fault address|thread|undefined kernel|runtime
#include <lathe.h>

#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "halide_call.h"
#include "worker.h"

namespace {

constexpr int64_t kWidth = 32, kRows = 4;

void widen(const uint16_t* from, float* to) {
  const lathe::Entry& kernel = *lathe::find_kernel(lathe::choose_row().row, "widen", "bf16");
  lathe::Buffer x(from, lathe::Storage::kBF16, kWidth, kRows, kWidth), y(to, kWidth, kRows, kWidth);
  lathe::call(kernel, x, y);
}

// A kernel is told of a row that is not there.
void overrun_in_kernel() {
  const auto from = std::make_unique<uint16_t[]>(kWidth * kRows);
  const auto to = std::make_unique<float[]>(kWidth * (kRows - 1));
  widen(from.get(), to.get());
}

// Lengths of two rows are promised, and one is there.
void overrun_in_runtime() {
  int64_t shape[] = {2, 1, 1, 16}, two[] = {2};
  float data[32] = {}, out[32];
  const auto one_length = std::make_unique<int32_t[]>(1);
  const auto tensor = [](void* memory, int64_t* extents, int rank, uint8_t code) {
    return lathe_tensor{memory, 1, 0, rank, code, 32, 1, extents, nullptr, 0};
  };
  const lathe_tensor in = tensor(data, shape, 4, 2), o = tensor(out, shape, 4, 2),
                     lengths = tensor(one_length.get(), two, 1, 0);
  const lathe_arg args[] = {{LATHE_Q, &in}, {LATHE_K, &in}, {LATHE_V, &in}, {LATHE_O, &o}, {LATHE_LENGTHS, &lengths}};
  lathe_desc desc{};
  desc.size = sizeof desc;
  desc.op = "causal";
  lathe_context* context = nullptr;
  lathe_plan* plan = nullptr;
  lathe_context_create(nullptr, &context);
  lathe_plan_create(context, &desc, args, 5, &plan);
  lathe_run(context, plan, args, 5, nullptr);
}

template <typename Body>
void twice_at_once(Body body) {
  std::thread one(body), other(body);
  one.join();
  other.join();
}

void race_in_kernel() {
  const auto from = std::make_unique<uint16_t[]>(kWidth * kRows);
  const auto to = std::make_unique<float[]>(kWidth * kRows);
  twice_at_once([&] { widen(from.get(), to.get()); });
}

// A context is for one caller at a time: both write the text of their refusal into it.
void race_in_runtime() {
  lathe_context* context = nullptr;
  lathe_context_create(nullptr, &context);
  twice_at_once([&] { lathe_run(context, nullptr, nullptr, 0, nullptr); });
}

// A projection of more bytes than a number can count.
void overflow_in_runtime() {
  lathe::Plan plan{};
  lathe::Problem problem;
  problem.tensors[LATHE_PROJECTION].rank = 2;
  plan.padded.D = std::numeric_limits<int64_t>::max() / 2;
  plan.padded.M = 16;
  std::printf("%zu\n", lathe::shared_layout(plan, problem).total * sizeof(float));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string sanitizer = argc > 1 ? argv[1] : "", place = argc > 2 ? argv[2] : "";
  if (sanitizer == "address") place == "kernel" ? overrun_in_kernel() : overrun_in_runtime();
  if (sanitizer == "thread") place == "kernel" ? race_in_kernel() : race_in_runtime();
  if (sanitizer == "undefined") overflow_in_runtime();
  return 0;
}
