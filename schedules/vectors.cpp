#include "vectors.h"

namespace lathe::gen {

bool has_word(const std::string& target, const std::string& word) {
  return ("-" + target + "-").find("-" + word + "-") != std::string::npos;
}

Vectors vectors_of(const std::string& target) {
  if (has_word(target, "avx512") || has_word(target, "avx512_skylake")) return {16, 32, false};
  if (has_word(target, "avx") || has_word(target, "avx2")) return {8, 16, false};
  const bool arm = has_word(target, "arm");
  return {4, arm ? 32 : 16, arm};
}

}  // namespace lathe::gen
