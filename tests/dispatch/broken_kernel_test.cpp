// A kernel that does nothing, as one does that was linked from an old build or finds no device: whichever it is, the
// library's test of itself notices and says where.
#include <gtest/gtest.h>
#include <lathe.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "registry.h"

namespace {

int does_nothing(void**) { return 0; }

// The registry's entry, with another kernel for as long as this lives.
class Replaced {
 public:
  explicit Replaced(const lathe::Entry& entry) : call_(const_cast<lathe::Entry&>(entry).call), before_(entry.call) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), into = reinterpret_cast<uintptr_t>(&call_) % page;
    void* first = reinterpret_cast<char*>(&call_) - into;
    if (mprotect(first, into + sizeof call_, PROT_READ | PROT_WRITE) == 0) put(does_nothing);
  }
  ~Replaced() { put(before_); }
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;
  bool took() const { return *const_cast<int (*volatile*)(void**)>(&call_) == does_nothing; }

 private:
  void put(int (*kernel)(void**)) { *const_cast<int (*volatile*)(void**)>(&call_) = kernel; }

  int (*&call_)(void**);
  int (*before_)(void**);
};

TEST(SelfTest, NoticesEveryKernelThatDoesNothing) {
  const std::string row = lathe::choose_row().row;
  for (const lathe::Entry& entry : lathe::registry()) {
    if (entry.row != row) continue;
    const Replaced replaced(entry);
    ASSERT_TRUE(replaced.took()) << entry.symbol;
    EXPECT_EQ(lathe_self_test(nullptr, nullptr, 0, nullptr), LATHE_INTERNAL) << entry.symbol;
    EXPECT_NE(std::string(lathe_last_error(nullptr)).find(row), std::string::npos) << lathe_last_error(nullptr);
  }
  EXPECT_EQ(lathe_self_test(nullptr, nullptr, 0, nullptr), LATHE_OK) << lathe_last_error(nullptr);
}

TEST(SelfTest, SaysWhichAnswerIsWrong) {
  const Replaced replaced(*lathe::find_kernel(lathe::choose_row().row, "map", "elu1"));
  EXPECT_EQ(lathe_self_test(nullptr, nullptr, 0, nullptr), LATHE_INTERNAL);
  const std::string text = lathe_last_error(nullptr);
  for (const char* word : {"causal plain elu1 f32", "O, element 0", "expected", "LATHE_TARGET"})
    EXPECT_NE(text.find(word), std::string::npos) << text;
}

}  // namespace
