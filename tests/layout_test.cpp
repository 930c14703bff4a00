// lathe_tensor is DLPack's DLTensor, field for field, so that a view of one is a view of the other.
#include <dlpack/dlpack.h>
#include <gtest/gtest.h>
#include <lathe.h>

#include <cstddef>
#include <string>
#include <type_traits>

extern "C" int context_in_c11(void);

namespace {

static_assert(sizeof(lathe_tensor) == sizeof(DLTensor));
static_assert(alignof(lathe_tensor) == alignof(DLTensor));
static_assert(std::is_standard_layout_v<lathe_tensor> && std::is_trivial_v<lathe_tensor>);
static_assert(offsetof(lathe_tensor, data) == offsetof(DLTensor, data));
static_assert(offsetof(lathe_tensor, device_type) == offsetof(DLTensor, device));
static_assert(offsetof(lathe_tensor, device_id) == offsetof(DLTensor, device) + offsetof(DLDevice, device_id));
static_assert(offsetof(lathe_tensor, ndim) == offsetof(DLTensor, ndim));
static_assert(offsetof(lathe_tensor, code) == offsetof(DLTensor, dtype) + offsetof(DLDataType, code));
static_assert(offsetof(lathe_tensor, bits) == offsetof(DLTensor, dtype) + offsetof(DLDataType, bits));
static_assert(offsetof(lathe_tensor, lanes) == offsetof(DLTensor, dtype) + offsetof(DLDataType, lanes));
static_assert(offsetof(lathe_tensor, shape) == offsetof(DLTensor, shape));
static_assert(offsetof(lathe_tensor, strides) == offsetof(DLTensor, strides));
static_assert(offsetof(lathe_tensor, byte_offset) == offsetof(DLTensor, byte_offset));
static_assert(sizeof(lathe_tensor::device_type) == sizeof(DLDevice::device_type));
static_assert(kDLCPU == 1 && kDLInt == 0 && kDLUInt == 1 && kDLFloat == 2 && kDLBfloat == 4);

TEST(Layout, VersionOfTheHeaderIsTheLibrarys) {
  const std::string header = std::to_string(LATHE_VERSION_MAJOR) + "." + std::to_string(LATHE_VERSION_MINOR) + "." +
                             std::to_string(LATHE_VERSION_PATCH);
  EXPECT_EQ(lathe_version(), header);
}

TEST(Header, IsC11) { EXPECT_EQ(context_in_c11(), 1); }

}  // namespace
