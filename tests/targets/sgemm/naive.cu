// C = A B, n by n, row by row: a thread owns one element and reads all of its row and column. What the static model of
// docs/gpu.md must find slow.
extern "C" __global__ void sgemm_naive(const float* a, const float* b, float* c, int n) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  float sum = 0;
  for (int k = 0; k < n; k++) sum += a[row * n + k] * b[k * n + column];
  c[row * n + column] = sum;
}
