/* Linear attention over tensors of an OpenCL device, in the caller's own queue; needs a library built with the row
 * opencl: cmake -DLATHE_TARGETS="host;opencl" ...; cc opencl.c -llathe -lOpenCL */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>

enum { kTokens = 1000, kHeads = 8, kWidth = 64, kNumbers = kTokens * kHeads * kWidth };

static void need(int ok, const char* what, lathe_context* lathe) {
  if (ok) return;
  fprintf(stderr, "%s: %s\n", what, lathe ? lathe_last_error(lathe) : "failed");
  exit(1);
}

static lathe_tensor tensor(cl_mem memory, int64_t* shape) {
  return (lathe_tensor){.data = memory, .device_type = 4, .ndim = 4, .code = 2, .bits = 32, .lanes = 1, .shape = shape};
}

int main(void) {
  cl_platform_id platform;
  cl_device_id device;
  cl_int status;
  need(clGetPlatformIDs(1, &platform, NULL) == CL_SUCCESS, "no OpenCL platform", NULL);
  need(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS, "no OpenCL device", NULL);
  cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
  cl_command_queue queue = clCreateCommandQueue(context, device, 0, &status);

  static float numbers[kNumbers];
  for (int i = 0; i < kNumbers; i++) numbers[i] = (float)(i % 7 - 3);
  int64_t shape[] = {1, kTokens, kHeads, kWidth};
  cl_mem in = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof numbers, numbers, &status);
  cl_mem out = clCreateBuffer(context, CL_MEM_READ_WRITE, sizeof numbers, NULL, &status);
  lathe_tensor x = tensor(in, shape), o = tensor(out, shape);
  lathe_arg args[] = {{LATHE_Q, &x}, {LATHE_K, &x}, {LATHE_V, &x}, {LATHE_O, &o}};

  lathe_context* lathe;
  lathe_plan* plan;
  need(lathe_context_create(NULL, &lathe) == LATHE_OK, "lathe_context_create", NULL);
  lathe_desc desc = {
      .size = sizeof desc, .op = "causal", .map = "elu1", .scale = 1, .eps = 1e-6f, .flags = LATHE_NORMALISE};
  need(lathe_plan_create(lathe, &desc, args, 4, &plan) == LATHE_OK, "lathe_plan_create", lathe);
  lathe_exec exec = {.size = sizeof exec, .stream = queue};
  need(lathe_plan_workspace(plan, args, 4, &exec.workspace_bytes) == LATHE_OK, "lathe_plan_workspace", NULL);
  exec.workspace = clCreateBuffer(context, CL_MEM_READ_WRITE, exec.workspace_bytes, NULL, &status);
  need(lathe_run(lathe, plan, args, 4, &exec) == LATHE_OK, "lathe_run", lathe);
  need(clEnqueueReadBuffer(queue, out, CL_TRUE, 0, sizeof numbers, numbers, 0, NULL, NULL) == CL_SUCCESS, "reading",
       NULL);
  printf("%zu bytes of workspace; the last output is %g\n", exec.workspace_bytes, numbers[kNumbers - 1]);

  lathe_plan_destroy(plan);
  lathe_context_destroy(lathe);
  clReleaseMemObject(exec.workspace), clReleaseMemObject(in), clReleaseMemObject(out);
  clReleaseCommandQueue(queue), clReleaseContext(context);
  return 0;
}
