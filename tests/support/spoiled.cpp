#include "spoiled.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

namespace support {

int64_t SpoiledCall::Argument::elements() const {
  int64_t n = 1;
  for (int32_t d = 0; d < view.ndim; ++d) n *= shape[static_cast<size_t>(d)];
  return n;
}

SpoiledCall::SpoiledCall(const Arguments& good) : desc(good.desc) {
  for (const auto& [role, tensor] : good.tensors) {
    Argument& argument = arguments_[role];
    argument.view = tensor->view;
    argument.shape.fill(1);
    argument.strides.fill(1);
    std::copy(tensor->shape.begin(), tensor->shape.end(), argument.shape.begin());
    std::copy(tensor->strides.begin(), tensor->strides.end(), argument.strides.begin());
    argument.view.shape = argument.shape.data();
    argument.view.strides = argument.strides.data();
  }
}

void SpoiledCall::put_integers(uint32_t role, const std::vector<int64_t>& values) {
  Argument& argument = arguments_.at(role);
  argument.integers = values;
  argument.view.data = argument.integers.data();
}

void SpoiledCall::put_floats(uint32_t role, const std::vector<float>& values) {
  Argument& argument = arguments_.at(role);
  argument.floats = values;
  argument.view.data = argument.floats.data();
}

std::vector<lathe_arg> SpoiledCall::list() const {
  std::vector<lathe_arg> args;
  for (const auto& [role, argument] : arguments_) args.push_back({role, &argument.view});
  args.insert(args.end(), extra_.begin(), extra_.end());
  return args;
}

bool mentions(const std::string& text, const std::string& word) {
  const auto of_a_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !of_a_word(text[at - 1])) && (end == text.size() || !of_a_word(text[end]))) return true;
  }
  return false;
}

namespace {

using Bytes = std::vector<std::vector<unsigned char>>;

Bytes bytes_of_all(const Arguments& arguments) {
  Bytes bytes;
  for (const auto& [role, tensor] : arguments.tensors) bytes.push_back(tensor->bytes());
  return bytes;
}

bool names_an_argument(const std::string& error) {
  return std::any_of(roles().begin(), roles().end(),
                     [&](const auto& role) { return mentions(error, role.second.name); });
}

}  // namespace

Refuser::Refuser(const Arguments& good)
    : good_(good), exact_(shared_context(1), good), free_(shared_context(1), good, true), before_(bytes_of_all(good)) {
  EXPECT_EQ(exact_.status, LATHE_OK) << good.text();
  EXPECT_EQ(free_.status, LATHE_OK) << good.text();
}

void Refuser::judge(lathe_status status, const Spoil& spoil, const char* way) const {
  const std::string error = shared_context(1).error();
  const auto what = [&] {
    return fmt::format("{}: {} {}: status {}, '{}' ", good_.text(), spoil.name, way, status, error);
  };
  EXPECT_EQ(status, spoil.status) << what();
  EXPECT_TRUE(bytes_of_all(good_) == before_) << what() << "a tensor was touched";
  if (status == LATHE_OK) return;
  EXPECT_TRUE(mentions(error, "expected")) << what();
  for (const std::string& word : spoil.words) EXPECT_TRUE(mentions(error, word)) << what() << "lacks " << word;
  const auto role = roles().find(spoil.role);
  EXPECT_TRUE(role == roles().end() || mentions(error, role->second.name) ||
              (spoil.disagreement && names_an_argument(error)))
      << what() << "does not name " << role->second.name;
}

void Refuser::expect_refused(const Spoil& spoil) const {
  lathe_context* context = shared_context(1).get();
  SpoiledCall call(good_);
  spoil.spoil(call);
  const std::vector<lathe_arg> args = call.list();
  lathe_plan* plan = nullptr;
  lathe_status status = lathe_plan_create(context, &call.desc, args.data(), args.size(), &plan);
  EXPECT_EQ(plan == nullptr, status != LATHE_OK);
  if (status == LATHE_OK) status = lathe_run(context, plan, args.data(), args.size(), nullptr);
  lathe_plan_destroy(plan);
  judge(status, spoil, "from the start");
  judge(lathe_run(context, exact_.get(), args.data(), args.size(), nullptr), spoil, "on a plan of the good call");
  judge(lathe_run(context, free_.get(), args.data(), args.size(), nullptr), spoil, "on a plan with free extents");
}

}  // namespace support
