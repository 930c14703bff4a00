/* The header needs no C++: a context comes and goes in C11. Called by layout_test.cpp. */
#include <lathe.h>

int context_in_c11(void);

int context_in_c11(void) {
  lathe_context* context = NULL;
  lathe_status status = lathe_context_create(NULL, &context);
  int silent = lathe_last_error(context)[0] == '\0';
  lathe_context_destroy(context);
  return status == LATHE_OK && silent;
}
