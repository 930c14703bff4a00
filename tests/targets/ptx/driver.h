// The functions of the CUDA driver that the stand-in has, as their documentation states them. Declared here and not
// taken from the library's own declarations: what these get wrong is to show.
#pragma once

#include <cstddef>
#include <cstdint>

using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;

enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_SUPPORTED = 801,
};

enum CUdevice_attribute : int {
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};
enum CUpointer_attribute : int { CU_POINTER_ATTRIBUTE_CONTEXT = 1, CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2 };
enum CUmemorytype : unsigned { CU_MEMORYTYPE_DEVICE = 2 };
enum CUfunction_attribute : int {
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
  CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT = 9,
};
enum CUjit_option : int { CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };

#define LATHE_EXPORTED __attribute__((visibility("default")))

extern "C" {
LATHE_EXPORTED CUresult cuInit(unsigned flags);
LATHE_EXPORTED CUresult cuGetErrorString(CUresult error, const char** text);
LATHE_EXPORTED CUresult cuGetErrorName(CUresult error, const char** text);

LATHE_EXPORTED CUresult cuDeviceGet(CUdevice* device, int ordinal);
LATHE_EXPORTED CUresult cuDeviceGetCount(int* count);
LATHE_EXPORTED CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device);

LATHE_EXPORTED CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device);
LATHE_EXPORTED CUresult cuCtxDestroy_v2(CUcontext context);
LATHE_EXPORTED CUresult cuCtxGetCurrent(CUcontext* context);
LATHE_EXPORTED CUresult cuCtxSetCurrent(CUcontext context);
LATHE_EXPORTED CUresult cuCtxPushCurrent_v2(CUcontext context);
LATHE_EXPORTED CUresult cuCtxPopCurrent_v2(CUcontext* context);
LATHE_EXPORTED CUresult cuCtxGetDevice(CUdevice* device);

LATHE_EXPORTED CUresult cuStreamCreate(CUstream* stream, unsigned flags);
LATHE_EXPORTED CUresult cuStreamDestroy_v2(CUstream stream);
LATHE_EXPORTED CUresult cuStreamGetCtx(CUstream stream, CUcontext* context);
LATHE_EXPORTED CUresult cuStreamSynchronize(CUstream stream);

LATHE_EXPORTED CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes);
LATHE_EXPORTED CUresult cuMemFree_v2(CUdeviceptr address);
LATHE_EXPORTED CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes);
LATHE_EXPORTED CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes);
LATHE_EXPORTED CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream);
LATHE_EXPORTED CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream);
LATHE_EXPORTED CUresult cuMemGetAddressRange_v2(CUdeviceptr* begin, size_t* bytes, CUdeviceptr address);
LATHE_EXPORTED CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr address);

LATHE_EXPORTED CUresult cuModuleLoadData(CUmodule* module, const void* image);
LATHE_EXPORTED CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, CUjit_option* options,
                                           void** values);
LATHE_EXPORTED CUresult cuModuleUnload(CUmodule module);
LATHE_EXPORTED CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name);
LATHE_EXPORTED CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value);
LATHE_EXPORTED CUresult cuLaunchKernel(CUfunction function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                                       unsigned threads_x, unsigned threads_y, unsigned threads_z,
                                       unsigned shared_bytes, CUstream stream, void** parameters, void** extra);

// No driver's: bytes of global memory that launches and fills have moved since this was called last, as machine.h
// counts them, which it does from the first such call on.
LATHE_EXPORTED void lathe_moved(unsigned long long* by_launches, unsigned long long* by_blocks);
}
