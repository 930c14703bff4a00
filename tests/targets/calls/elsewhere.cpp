#include "elsewhere.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "host.h"

namespace elsewhere {

using namespace support;

Moved::Moved(Tensor& tensor) : tensor_(tensor), before_(tensor.view), bytes_(tensor.bytes()) {
  std::vector<unsigned char> all(kAround, kGuard);
  all.insert(all.end(), bytes_.begin(), bytes_.end());
  all.insert(all.end(), kAround, kGuard);
  memory_ = host()->allocate(all.size());
  host()->write(memory_, all.data(), all.size());
  tensor.view.device_type = host()->device_type();
  tensor.view.data = memory_;
  tensor.view.byte_offset = kAround + tensor.bytes_before();
}

Moved::~Moved() {
  std::vector<unsigned char> all(kAround + bytes_.size() + kAround);
  host()->read(memory_, all.data(), all.size());
  host()->release(memory_);
  const auto inside = all.begin() + kAround, end = inside + static_cast<std::ptrdiff_t>(bytes_.size());
  tensor_.put_bytes({inside, end});
  tensor_.view = before_;
  EXPECT_EQ(std::count(all.begin(), inside, kGuard) + std::count(end, all.end(), kGuard), 2 * kAround)
      << "written outside a tensor";
}

Call::Call(const Context& context, const Arguments& arguments, const Options& options) {
  for (const auto& [role, tensor] : arguments.tensors)
    if (tensor->type() != Type::I32 && tensor->type() != Type::I64 && !moved_.contains(tensor.get()))
      moved_.emplace(tensor.get(), std::make_unique<Moved>(*tensor));
  exec_.size = sizeof exec_;
  exec_.stream = host()->queue();
  plan_ = std::make_unique<Plan>(context, arguments, options.free_extents);
  status_ = plan_->status;
  const std::vector<lathe_arg> args = arguments.list();
  if (!status_) status_ = lathe_plan_workspace(plan_->get(), args.data(), args.size(), &exec_.workspace_bytes);
  const size_t bytes = std::max<size_t>(exec_.workspace_bytes, 1);
  workspace_ = exec_.workspace = host()->allocate(bytes);
  // what the library does not fill is NaN
  const std::vector<unsigned char> nans(bytes, kNan);
  host()->write(exec_.workspace, nans.data(), bytes);
}

size_t Call::untouched() const {
  std::vector<unsigned char> bytes(exec_.workspace_bytes);
  host()->read(exec_.workspace, bytes.data(), bytes.size());
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), kNan));
}

Call::~Call() { host()->release(workspace_); }

namespace {

lathe_status run_on_device(const Context& context, const Arguments& arguments, const Options& options) {
  const Call call(context, arguments, options);
  return call.status() ? call.status() : run(context, call.plan(), arguments, &call.exec());
}

class Device : public testing::Environment {
  void SetUp() override {
    if (!host()) GTEST_SKIP() << nobody_answers;
    run_elsewhere = run_on_device;
  }
};
[[maybe_unused]] const auto* const device = testing::AddGlobalTestEnvironment(new Device);

}  // namespace

}  // namespace elsewhere
