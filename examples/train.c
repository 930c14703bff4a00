/* Gradient descent through causal linear attention: queries, keys and values of eight tokens learn outputs that were
 * drawn beforehand. Prints the loss before and after. */
#include <lathe.h>
#include <stdio.h>

enum { kTokens = 8, kWidth = 4, kNumbers = kTokens * kWidth, kSteps = 500 };

static lathe_tensor tokens(float* data, int64_t* shape) {
  return (lathe_tensor){.data = data, .device_type = 1, .ndim = 4, .code = 2, .bits = 32, .lanes = 1, .shape = shape};
}

static float drawn(unsigned* seed) {
  *seed = *seed * 1664525U + 1013904223U;
  return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

int main(void) {
  int64_t shape[] = {1, kTokens, 1, kWidth}; /* batch, tokens, heads, width */
  static float q[kNumbers], k[kNumbers], v[kNumbers], o[kNumbers], wanted[kNumbers];
  static float dq[kNumbers], dk[kNumbers], dv[kNumbers], d_o[kNumbers];
  unsigned seed = 1;
  for (int i = 0; i < kNumbers; i++) {
    q[i] = drawn(&seed), k[i] = drawn(&seed), v[i] = drawn(&seed);
    wanted[i] = drawn(&seed) / 2;
  }
  const lathe_tensor tq = tokens(q, shape), tk = tokens(k, shape), tv = tokens(v, shape), to = tokens(o, shape);
  const lathe_tensor gq = tokens(dq, shape), gk = tokens(dk, shape), gv = tokens(dv, shape), go = tokens(d_o, shape);
  const lathe_arg forward[] = {{LATHE_Q, &tq}, {LATHE_K, &tk}, {LATHE_V, &tv}, {LATHE_O, &to}};
  const lathe_arg backward[] = {{LATHE_Q, &tq},
                                {LATHE_K, &tk},
                                {LATHE_V, &tv},
                                {LATHE_GRAD | LATHE_O, &go},
                                {LATHE_GRAD | LATHE_Q, &gq},
                                {LATHE_GRAD | LATHE_K, &gk},
                                {LATHE_GRAD | LATHE_V, &gv}};
  lathe_desc desc = {
      .size = sizeof desc, .op = "causal", .map = "elu1", .scale = 1, .eps = 1e-6F, .flags = LATHE_NORMALISE};

  lathe_context* context = NULL;
  lathe_plan *there = NULL, *back = NULL;
  lathe_status status = lathe_context_create(NULL, &context);
  if (status == LATHE_OK) status = lathe_plan_create(context, &desc, forward, 4, &there);
  desc.op = "causal_backward";
  if (status == LATHE_OK) status = lathe_plan_create(context, &desc, backward, 7, &back);
  for (int step = 0; step <= kSteps && status == LATHE_OK; step++) {
    status = lathe_run(context, there, forward, 4, NULL);
    float loss = 0;
    for (int i = 0; i < kNumbers; i++) {
      d_o[i] = 2 * (o[i] - wanted[i]) / kNumbers;
      loss += (o[i] - wanted[i]) * (o[i] - wanted[i]) / kNumbers;
    }
    if (step == 0 || step == kSteps) printf("step %d: loss %.6f\n", step, loss);
    if (status == LATHE_OK) status = lathe_run(context, back, backward, 7, NULL);
    for (int i = 0; i < kNumbers; i++) q[i] -= dq[i], k[i] -= dk[i], v[i] -= dv[i];
  }
  if (status != LATHE_OK) fprintf(stderr, "lathe %s: %s\n", lathe_version(), lathe_last_error(context));
  lathe_plan_destroy(back);
  lathe_plan_destroy(there);
  lathe_context_destroy(context);
  return status == LATHE_OK ? 0 : 1;
}
