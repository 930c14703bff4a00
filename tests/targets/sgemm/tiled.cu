// C = A B, n by n, row by row, n a multiple of 128: a block of 256 threads owns a square of 128, a thread 8 rows and 8
// columns of it, as two by two squares of 4. Slices of 8 along the sum lie in shared memory, the next one on its way
// while one is multiplied. What the static model of docs/gpu.md must find fast.
constexpr int kSide = 128, kSlice = 8;

extern "C" __global__ void __launch_bounds__(256, 2)
    sgemm_tiled(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int n) {
  __shared__ __align__(16) float rows[2][kSlice][kSide], columns[2][kSlice][kSide];
  const int t = threadIdx.x;
  // a warp owns 32 rows and 64 columns, so that its threads read few addresses at once
  const int row = t / 64 * 32 + t % 32 / 8 * 4, column = t / 32 % 2 * 64 + t % 8 * 4;
  const float* from_a = a + (blockIdx.y * kSide + t / 2) * n + t % 2 * 4;
  const float* from_b = b + t / 32 * n + blockIdx.x * kSide + t % 32 * 4;
  float4 next_a = *(const float4*)from_a, next_b = *(const float4*)from_b;
  float sums[8][8] = {};
  const int slices = n / kSlice;
  for (int slice = 0; slice < slices; slice++) {
    const int half = slice % 2;
    rows[half][t % 2 * 4][t / 2] = next_a.x;
    rows[half][t % 2 * 4 + 1][t / 2] = next_a.y;
    rows[half][t % 2 * 4 + 2][t / 2] = next_a.z;
    rows[half][t % 2 * 4 + 3][t / 2] = next_a.w;
    *(float4*)&columns[half][t / 32][t % 32 * 4] = next_b;
    __syncthreads();
    if (slice + 1 < slices) {
      from_a += kSlice;
      from_b += kSlice * n;
      next_a = *(const float4*)from_a;
      next_b = *(const float4*)from_b;
    }
#pragma unroll
    for (int k = 0; k < kSlice; k++) {
      float x[8], y[8];
      for (int part = 0; part < 2; part++) {
        *(float4*)&x[4 * part] = *(const float4*)&rows[half][k][row + 16 * part];
        *(float4*)&y[4 * part] = *(const float4*)&columns[half][k][column + 32 * part];
      }
#pragma unroll
      for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sums[i][j] += x[i] * y[j];
    }
  }
  for (int i = 0; i < 8; i++)
    for (int part = 0; part < 2; part++)
      *(float4*)&c[(blockIdx.y * kSide + row + i / 4 * 16 + i % 4) * n + blockIdx.x * kSide + column + 32 * part] =
          make_float4(sums[i][4 * part], sums[i][4 * part + 1], sums[i][4 * part + 2], sums[i][4 * part + 3]);
}
