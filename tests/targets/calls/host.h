// What a caller's own program does with a device: one of these for each kind, in a file of its own.
#pragma once

#include <lathe.h>

#include <cstddef>

namespace elsewhere {

class Host {
 public:
  virtual ~Host() = default;
  virtual int device_type() const = 0;
  virtual void* allocate(size_t bytes) const = 0;
  virtual void release(void* memory) const = 0;
  virtual void write(void* memory, const void* from, size_t bytes) const = 0;
  // When all that was put into the queue has been done.
  virtual void read(void* memory, void* to, size_t bytes) const = 0;
  virtual void* queue() const = 0;
};

// nullptr where no device answers.
const Host* host();
extern const char* const nobody_answers;

}  // namespace elsewhere
