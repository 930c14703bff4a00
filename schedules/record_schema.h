// The shape of a record file; CMake reads the name from here too. Another shape has another number.
#pragma once

namespace lathe {

constexpr const char* kRecordSchema = "lathe.tuned/1";

}  // namespace lathe
