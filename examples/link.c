/* Causal linear attention over four tokens: o_t = phi(q_t) S_t / phi(q_t).z_t, where phi is elu + 1. Prints the last o.
 */
#include <lathe.h>
#include <stdio.h>

enum { kTokens = 4, kWidth = 2 };

static lathe_tensor tokens(float* data, int64_t* shape) {
  return (lathe_tensor){.data = data, .device_type = 1, .ndim = 4, .code = 2, .bits = 32, .lanes = 1, .shape = shape};
}

int main(void) {
  int64_t shape[] = {1, kTokens, 1, kWidth}; /* batch, tokens, heads, width */
  float q[] = {0, 1, -1, 2, 1, 0, 0.5F, -0.5F};
  float k[] = {1, 0, 0, 1, -1, -2, 2, 1};
  float v[] = {1, 0, 0, 1, 2, -1, -1, 3};
  float o[kTokens * kWidth];
  const lathe_tensor tq = tokens(q, shape), tk = tokens(k, shape), tv = tokens(v, shape), to = tokens(o, shape);
  const lathe_arg args[] = {{LATHE_Q, &tq}, {LATHE_K, &tk}, {LATHE_V, &tv}, {LATHE_O, &to}};
  const lathe_desc desc = {
      .size = sizeof desc, .op = "causal", .map = "elu1", .scale = 1, .eps = 1e-6F, .flags = LATHE_NORMALISE};

  lathe_context* context = NULL;
  lathe_plan* plan = NULL;
  lathe_status status = lathe_context_create(NULL, &context);
  if (status == LATHE_OK) status = lathe_plan_create(context, &desc, args, 4, &plan);
  if (status == LATHE_OK) status = lathe_run(context, plan, args, 4, NULL);
  if (status == LATHE_OK)
    printf("%.3f %.3f\n", o[(kTokens - 1) * kWidth], o[(kTokens - 1) * kWidth + 1]);
  else
    fprintf(stderr, "lathe %s: %s\n", lathe_version(), lathe_last_error(context));
  lathe_plan_destroy(plan);
  lathe_context_destroy(context);
  return status == LATHE_OK ? 0 : 1;
}
