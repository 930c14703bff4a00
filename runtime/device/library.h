// A driver's library, opened at run time.
#pragma once

#include <dlfcn.h>

#include <initializer_list>

#include "../status.h"

namespace lathe {

class Library {
 public:
  // The first of these names that opens. Throws Error(DEVICE) naming the driver where none does.
  Library(const char* driver, std::initializer_list<const char*> names) : driver_(driver) {
    for (const char* name : names)
      if (!handle_) handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle_) fail(LATHE_DEVICE, "{}: expected a driver, {}, got {}", driver, *names.begin(), dlerror());
  }
  template <typename Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (!function) fail(LATHE_DEVICE, "{}: expected a driver that has {}, got one without", driver_, name);
  }

 private:
  const char* driver_;
  void* handle_ = nullptr;
};

}  // namespace lathe
