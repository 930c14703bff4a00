/* In a library of LATHE_OPS=causal, LATHE_MAPS=elu1;favor, LATHE_DTYPES=f32;bf16: those are listed and right, and the
 * rest is refused. */
#include <lathe.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void expect_list(const char* what, const char* names) {
  char text[4096] = "";
  lathe_list(what, text, sizeof text, NULL);
  if (strstr(text, names) != text) {
    printf("%s: expected %s, got %s\n", what, names, text);
    failures++;
  }
}

static void expect_plan(lathe_context* context, const char* op, const char* map, uint8_t code, uint8_t bits,
                        lathe_status status, const char* word) {
  int64_t shape[] = {1, 4, 1, 16};
  const lathe_tensor tensor = {.device_type = 1, .ndim = 4, .code = code, .bits = bits, .lanes = 1, .shape = shape};
  const lathe_arg args[] = {{LATHE_Q, &tensor}, {LATHE_K, &tensor}, {LATHE_V, &tensor}, {LATHE_O, &tensor}};
  const lathe_desc desc = {.size = sizeof desc, .op = op, .map = map, .scale = 1};
  lathe_plan* plan = NULL;
  const lathe_status came = lathe_plan_create(context, &desc, args, 4, &plan);
  lathe_plan_destroy(plan);
  if (came != status || strstr(lathe_last_error(context), word) == NULL) {
    printf("%s %s: expected status %d and \"%s\", got %d: %s\n", op, map, status, word, came,
           lathe_last_error(context));
    failures++;
  }
}

int main(void) {
  lathe_context* context = NULL;
  if (lathe_context_create(NULL, &context) != LATHE_OK) return 1;
  if (lathe_self_test(context, NULL, 0, NULL) != LATHE_OK) {
    printf("%s\n", lathe_last_error(context));
    failures++;
  }
  expect_list("ops", "[\"causal\"]");
  expect_list("dtypes", "[\"f32\", \"bf16\"]");
  expect_list("maps", "[{\"name\": \"elu1\"");
  expect_plan(context, "causal", "elu1", 2, 32, LATHE_OK, "");
  expect_plan(context, "causal", "elu1", 4, 16, LATHE_OK, "");
  expect_plan(context, "decode", "elu1", 2, 32, LATHE_UNSUPPORTED, "LATHE_OPS");
  expect_plan(context, "causal", "relu", 2, 32, LATHE_UNSUPPORTED, "relu");
  expect_plan(context, "causal", "elu1", 2, 16, LATHE_UNSUPPORTED, "f16");
  lathe_context_destroy(context);
  return failures != 0;
}
