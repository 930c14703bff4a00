#include "launches.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

namespace lathe::gen {

namespace {

using namespace Halide::Internal;

// halide_cuda_run(state, entry, blocks x 3, threads x 3, shared bytes, ...), and the same of other devices.
class Finder : public IRVisitor {
 public:
  std::vector<Launch> found;

 private:
  using IRVisitor::visit;

  static int64_t constant(const Call* op, size_t at, const char* what) {
    const std::optional<int64_t> value = as_const_int(simplify(op->args[at]));
    if (!value) throw std::invalid_argument(fmt::format("{}: its {} hang on the arguments", entry_of(op), what));
    return *value;
  }
  static std::string entry_of(const Call* op) { return op->args[1].as<StringImm>()->value; }

  void visit(const Call* op) override {
    IRVisitor::visit(op);
    if (!op->name.starts_with("halide_") || !op->name.ends_with("_run") || op->args.size() < 9) return;
    Launch launch{entry_of(op), {}, constant(op, 8, "shared bytes")};
    for (size_t d = 0; d < 3; d++) launch.threads[d] = static_cast<int>(constant(op, 5 + d, "threads"));
    found.push_back(launch);
  }
};

}  // namespace

std::vector<Launch> launches_of(const Stmt& body) {
  Finder finder;
  body.accept(&finder);
  return finder.found;
}

}  // namespace lathe::gen
