// A good call whose every part may be spoiled, and the demand that it is refused with nothing touched.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>

#include "support/call.h"
#include "support/roles.h"

namespace support {

// Descriptors are copies, free to spoil; the memory is that of the arguments.
class SpoiledCall {
 public:
  struct Argument {
    lathe_tensor view;
    std::array<int64_t, 8> shape, strides;  // behind the view; ones past its rank
    std::vector<int64_t> integers;          // where the data was replaced by put_integers
    std::vector<float> floats;
    int64_t elements() const;
  };
  explicit SpoiledCall(const Arguments& good);
  SpoiledCall(const SpoiledCall&) = delete;
  SpoiledCall& operator=(const SpoiledCall&) = delete;

  Argument& operator[](uint32_t role) { return arguments_.at(role); }
  bool has(uint32_t role) const { return arguments_.contains(role); }
  void drop(uint32_t role) { arguments_.erase(role); }
  void add(uint32_t role, const lathe_tensor& view) { extra_.push_back({role, &view}); }
  void put_integers(uint32_t role, const std::vector<int64_t>& values);
  void put_floats(uint32_t role, const std::vector<float>& values);
  std::vector<lathe_arg> list() const;

  lathe_desc desc;

 private:
  std::map<uint32_t, Argument> arguments_;
  std::vector<lathe_arg> extra_;
};

// One way to spoil a call. Each of `words` must stand in the message as a word or number of its own; and the name of
// `role`, or, where two arguments disagree and either may be the wrong one, of some other argument.
struct Spoil {
  std::string name;
  std::function<void(SpoiledCall&)> spoil;
  lathe_status status = LATHE_INVALID;
  std::vector<std::string> words;
  uint32_t role = 0;
  bool disagreement = false;
};

// Tries the plan of a spoiled call, its run on a plan of the good one, and on one with free extents: whatever is the
// first that can know must refuse.
class Refuser {
 public:
  explicit Refuser(const Arguments& good);
  void expect_refused(const Spoil& spoil) const;

 private:
  void judge(lathe_status status, const Spoil& spoil, const char* way) const;

  const Arguments& good_;
  const Plan exact_, free_;
  std::vector<std::vector<unsigned char>> before_;
};

bool mentions(const std::string& text, const std::string& word);

}  // namespace support
