#include "census.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::gen {

namespace {

void check_reads(const Space& space, const Constraint& constraint) {
  Numbers named;
  for (const std::string& name : constraint.reads) {
    const auto knob =
        std::find_if(space.knobs.begin(), space.knobs.end(), [&](const Knob& k) { return k.name == name; });
    if (knob == space.knobs.end())
      throw std::logic_error(fmt::format("constraint '{}' names '{}', which is no knob", constraint.text, name));
    named[name] = knob->fallback;
  }
  try {
    constraint.holds(named);
  } catch (const std::out_of_range&) {
    throw std::logic_error(fmt::format("constraint '{}' reads a knob that it does not name", constraint.text));
  }
}

class Walk {
 public:
  Walk(const Space& space, const std::function<void(const Numbers&)>& visit)
      : space_(space),
        visit_(visit),
        numbers_(defaults(space)),
        asked_(space.knobs.size()),
        below_(space.knobs.size(), 1) {
    for (const Knob& knob : space.knobs) slots_.push_back(&numbers_[knob.name]);
    for (size_t i = space.knobs.size(); i-- > 1;) below_[i - 1] = below_[i] * space.knobs[i].legal.size();
    for (size_t c = 0; c < space.constraints.size(); c++) {
      const Constraint& constraint = space.constraints[c];
      if (!constraint.reads.empty()) check_reads(space, constraint);
      asked_[deepest(constraint)].push_back(c);
      census_.rejected.emplace_back(constraint.text, 0);
    }
    for (const Knob& knob : space.knobs) census_.raw *= knob.legal.size();
  }

  Census run() {
    descend(0);
    return census_;
  }

 private:
  size_t deepest(const Constraint& constraint) const {
    if (constraint.reads.empty()) return space_.knobs.size() - 1;
    size_t deepest = 0;
    for (size_t i = 0; i < space_.knobs.size(); i++)
      if (std::find(constraint.reads.begin(), constraint.reads.end(), space_.knobs[i].name) != constraint.reads.end())
        deepest = i;
    return deepest;
  }

  bool allowed(size_t depth) {
    for (const size_t c : asked_[depth])
      if (!space_.constraints[c].holds(numbers_)) {
        census_.rejected[c].second += below_[depth];
        return false;
      }
    return true;
  }

  void descend(size_t depth) {
    if (depth == space_.knobs.size()) {
      census_.valid++;
      visit_(numbers_);
      return;
    }
    for (const int value : space_.knobs[depth].legal) {
      *slots_[depth] = value;
      if (allowed(depth)) descend(depth + 1);
    }
  }

  const Space& space_;
  const std::function<void(const Numbers&)>& visit_;
  Numbers numbers_;
  std::vector<int*> slots_;                 // of numbers_, in the order of the knobs
  std::vector<std::vector<size_t>> asked_;  // constraints, by the depth at which they can be asked
  std::vector<uint64_t> below_;             // configurations under one value at a depth
  Census census_;
};

}  // namespace

Census enumerate(const Space& space, const std::function<void(const Numbers&)>& visit) {
  return Walk(space, visit).run();
}

}  // namespace lathe::gen
