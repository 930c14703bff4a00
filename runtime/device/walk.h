// The operators on a device: every kernel once for all sequences, chunks and heads of a call.
#pragma once

#include "../plan.h"
#include "device.h"

namespace lathe {

// Throws Error(UNSUPPORTED) for what devices do not compute yet, naming it.
void check_device(const Meaning& meaning, const Problem& problem);

void run_on_device(const Plan& plan, const Problem& problem, Device& device, const Place& workspace);
// Bytes that it takes: the same walk, in which nothing is done.
uint64_t device_workspace(const Plan& plan, const Problem& problem);

}  // namespace lathe
