// A context: threads, scratch memory that lives between calls, the text of the last failure.
#pragma once

#include "device/queues.h"
#include "lathe.h"
#include "pool.h"
#include "run.h"
#include "status.h"

struct lathe_context {
  explicit lathe_context(const lathe_config& config);
  ~lathe_context();
  lathe_context(const lathe_context&) = delete;
  lathe_context& operator=(const lathe_context&) = delete;

  // At least `bytes`, 64-byte aligned; grown when needed, kept for later calls. Throws Error(NO_MEMORY).
  char* scratch(size_t bytes);
  lathe::Parallel parallel();
  int threads() const { return pool_.threads(); }

  lathe::ErrorText error;
  lathe::Room room;
  lathe::Queues queues;

 private:
  void release();

  lathe_config config_;
  lathe::Pool pool_;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};
