// Calls with the tensors in the memory of an OpenCL device, whatever platform answers. The suites of calls run there in
// a program that links this.
#pragma once

#include <map>
#include <memory>

#include "support/call.h"

namespace elsewhere {

// A tensor's memory is on the device while one of these lives, every byte of it, between some that must stay.
class Moved {
 public:
  explicit Moved(support::Tensor& tensor);
  Moved(const Moved&) = delete;
  Moved& operator=(const Moved&) = delete;
  ~Moved();

 private:
  static constexpr std::ptrdiff_t kAround = 64;
  static constexpr unsigned char kGuard = 0xa5;
  support::Tensor& tensor_;
  const lathe_tensor before_;
  const std::vector<unsigned char> bytes_;
  void* memory_;
};

// All tensors of a call but those of whole numbers, its plan, and a workspace.
class Call {
 public:
  Call(const support::Context& context, const support::Arguments& arguments, const support::Options& options = {});
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();
  lathe_status status() const { return status_; }
  const support::Plan& plan() const { return *plan_; }
  const lathe_exec& exec() const { return exec_; }
  // Bytes of the workspace that nobody has written, but for those that were written as they were.
  size_t untouched() const;

 private:
  static constexpr unsigned char kNan = 0xff;                 // every byte of one
  std::map<support::Tensor*, std::unique_ptr<Moved>> moved_;  // one tensor may have two roles
  std::unique_ptr<support::Plan> plan_;
  lathe_exec exec_{};
  void* workspace_ = nullptr;
  lathe_status status_ = LATHE_OK;
};

}  // namespace elsewhere
