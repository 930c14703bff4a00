// Refusals of everything but tensors (those are in refusals_test.cpp): descriptions, structures, the workspace, and
// arguments that are good alone and wrong together.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/inputs.h"
#include "support/spoiled.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem good() {
  Problem p;
  p.map = "elu1";
  p.B = 2;
  p.T = 6;
  p.HQ = p.HK = p.HV = 2;
  p.V = 5;
  p.normalise = true;
  p.eps = 1e-6;
  return reals(p, Type::F32, 91, true);
}

Spoil spoilt(const char* name, const std::function<void(lathe_desc&)>& change, const std::vector<std::string>& words,
             lathe_status status = LATHE_INVALID) {
  return {name, [change](SpoiledCall& c) { change(c.desc); }, status, words};
}

// Of the description alone: a plan is refused, so there is none to run.
void expect_no_plan(const Arguments& arguments, const Spoil& spoil) {
  SpoiledCall call(arguments);
  spoil.spoil(call);
  const Context& context = shared_context(1);
  const auto args = call.list();
  lathe_plan* plan = nullptr;
  EXPECT_EQ(lathe_plan_create(context.get(), &call.desc, args.data(), args.size(), &plan), spoil.status)
      << spoil.name << ": " << context.error();
  EXPECT_EQ(plan, nullptr);
  for (const std::string& word : spoil.words)
    EXPECT_TRUE(mentions(context.error(), word)) << spoil.name << " lacks '" << word << "': " << context.error();
}

class Descriptions : public testing::TestWithParam<std::string> {
 protected:
  const std::string op = GetParam();
};

TEST_P(Descriptions, OfUnknownNames) {
  const Arguments arguments(op, good());
  const std::string almost = op + "x";
  for (const Spoil& spoil : {
           spoilt("no op", [](lathe_desc& d) { d.op = nullptr; }, {"desc.op", "expected", "null"}),
           spoilt("op", [&](lathe_desc& d) { d.op = almost.c_str(); }, {"desc.op", "expected", op, almost}),
           spoilt("empty op", [](lathe_desc& d) { d.op = ""; }, {"desc.op", op}),
           spoilt("variant", [](lathe_desc& d) { d.variant = "dacey"; },
                  {"desc.variant", "expected", "dacey", "decay"}),
           spoilt("map", [](lathe_desc& d) { d.map = "elu2"; }, {"desc.map", "expected", "elu2", "elu1"}),
       })
    expect_no_plan(arguments, spoil);
}

TEST_P(Descriptions, OfNumbersAndFlags) {
  const Arguments arguments(op, good());
  for (uint64_t bit = 10; bit < 64; ++bit) {
    if (uint64_t{1} << bit == LATHE_MIX_FIRST) continue;
    expect_no_plan(arguments, spoilt("flag", [=](lathe_desc& d) { d.flags |= uint64_t{1} << bit; },
                                     {"desc.flags", "expected", fmt::format("{:#x}", uint64_t{1} << bit)}));
  }
  for (const float x : {NAN, INFINITY, -INFINITY}) {
    expect_no_plan(arguments,
                   spoilt("scale", [=](lathe_desc& d) { d.scale = x; }, {"desc.scale", fmt::format("{}", x)}));
    expect_no_plan(arguments, spoilt("eps", [=](lathe_desc& d) { d.eps = x; }, {"desc.eps", fmt::format("{}", x)}));
  }
  for (const Spoil& spoil : {
           spoilt("negative eps", [](lathe_desc& d) { d.eps = -1; }, {"desc.eps", "expected", "-1"}),
           spoilt("bound alone", [](lathe_desc& d) { d.flags = LATHE_DENOM_MAX; },
                  {"desc.flags", "DENOM_MAX", "NORMALISE"}),
           spoilt("nothing to stabilise", [](lathe_desc& d) { d.flags |= LATHE_STABILISE; },
                  {"desc.flags", "STABILISE", "elu1"}),
           spoilt("no steps", [](lathe_desc& d) { d.flags |= LATHE_SOFTPLUS; }, {"desc.flags", "SOFTPLUS", "plain"}),
           spoilt("no keys of unit length", [](lathe_desc& d) { d.flags |= LATHE_UNIT_KEYS; },
                  {"desc.flags", "UNIT_KEYS", "plain"}),
           spoilt("no queries of unit length", [](lathe_desc& d) { d.flags |= LATHE_UNIT_QUERIES; },
                  {"desc.flags", "UNIT_QUERIES", "plain"}),
           spoilt("no betas", [](lathe_desc& d) { d.flags |= LATHE_SIGMOID; }, {"desc.flags", "SIGMOID", "plain"}),
           spoilt("nothing to reflect", [](lathe_desc& d) { d.flags |= LATHE_REFLECT; },
                  {"desc.flags", "REFLECT", "plain"}),
           spoilt("nothing to clamp", [](lathe_desc& d) { d.flags |= LATHE_CLAMP_GATES; },
                  {"desc.flags", "CLAMP_GATES", "plain"}),
       })
    expect_no_plan(arguments, spoil);
}

TEST_P(Descriptions, OfAttributes) {
  const Arguments arguments(op, good());
  static lathe_attr attrs[2];
  const auto with = [](std::initializer_list<lathe_attr> given) {
    std::copy(given.begin(), given.end(), attrs);
    return [n = given.size()](lathe_desc& d) {
      d.attrs = attrs;
      d.n_attrs = n;
    };
  };
  expect_no_plan(arguments, spoilt("not of this map", with({{"tau", 1}}), {"desc.attrs", "none", "tau", "elu1"}));
  expect_no_plan(arguments,
                 spoilt("null", [](lathe_desc& d) { d.n_attrs = 1, d.attrs = nullptr; }, {"desc.attrs", "null"}));
  const Arguments cosformer(op, reals(with_map(good(), "cosformer"), Type::F32, 96, true));
  for (const double x : {0.0, -3.0, 1e-300, 1e300, double{NAN}, double{INFINITY}})
    expect_no_plan(cosformer,
                   spoilt("value", with({{"max_length", x}}), {"max_length", "expected", fmt::format("{}", x)}));
  expect_no_plan(cosformer,
                 spoilt("missing", [](lathe_desc& d) { d.n_attrs = 0; }, {"max_length", "cosformer", "none"}));
  expect_no_plan(cosformer, spoilt("unknown", with({{"temperature", 1}}), {"temperature", "max_length"}));
  expect_no_plan(cosformer, spoilt("unnamed", with({{nullptr, 1}}), {"desc.attrs", "null"}));
  expect_no_plan(cosformer, spoilt("twice", with({{"max_length", 7}, {"max_length", 8}}), {"max_length", "twice"}));
  const Arguments dpfp(op, reals(with_map(good(), "dpfp"), Type::F32, 97, true));
  expect_no_plan(dpfp, spoilt("too many features", with({{"nu", 1e9}}), {"dpfp", "4096"}));
}

// A structure of another version of the header: shorter, of a size that nobody wrote, and longer with something in it.
TEST_P(Descriptions, OfOtherSizes) {
  const Arguments arguments(op, good());
  for (const uint32_t size : {0u, 3u, static_cast<uint32_t>(sizeof(lathe_desc) - 1), 5000u, ~0u})
    expect_no_plan(arguments,
                   spoilt("size", [=](lathe_desc& d) { d.size = size; },
                          {"desc.size", "expected", std::to_string(sizeof(lathe_desc)), std::to_string(size)}));
  struct {
    lathe_desc desc;
    unsigned char later[16];
  } longer{};
  const auto args = arguments.list();
  longer.desc = arguments.desc;
  longer.desc.size = sizeof longer;
  for (unsigned char& later : longer.later) {
    std::memset(longer.later, 0, sizeof longer.later);
    later = 77;
    lathe_plan* plan = nullptr;
    const Context& context = shared_context(1);
    EXPECT_EQ(lathe_plan_create(context.get(), &longer.desc, args.data(), args.size(), &plan), LATHE_UNSUPPORTED);
    EXPECT_TRUE(mentions(context.error(), "desc") && mentions(context.error(), "77")) << context.error();
  }
}

TEST_P(Descriptions, OfADirectionWhereThereIsNone) {
  Problem p = good();
  p.variant = "decay";
  const Arguments arguments(op, reals(p, Type::F32, 94, true));
  if (op == "causal" || op == "decode" || op == "causal_backward") {
    const Plan plan(shared_context(1), arguments);
    EXPECT_EQ(plan.status, LATHE_OK) << op << " has a direction";
    return;
  }
  expect_no_plan(arguments, spoilt(
                                "decay", [](lathe_desc&) {}, {"desc.variant", "decay", op}, LATHE_UNSUPPORTED));
}

TEST_P(Descriptions, OfWorkspaces) {
  Problem p = good();
  p.T = 70;
  const Arguments arguments(op, reals(p, Type::F32, 98, true));
  const Context& context = shared_context(1);
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  const auto args = arguments.list();
  size_t bytes = 0;
  ASSERT_EQ(lathe_plan_workspace(plan.get(), args.data(), args.size(), &bytes), LATHE_OK);
  Guarded memory(bytes + 4096, Edge::First);
  std::map<uint32_t, std::vector<unsigned char>> before;
  for (const auto& [role, tensor] : arguments.tensors) before[role] = tensor->bytes();
  lathe_exec exec{};
  exec.size = sizeof exec;
  const auto refused = [&](void* workspace, size_t given, lathe_status status, const std::string& word) {
    exec.workspace = workspace;
    exec.workspace_bytes = given;
    EXPECT_EQ(run(context, plan, arguments, &exec), status) << context.error();
    EXPECT_TRUE(mentions(context.error(), word)) << context.error();
    for (const auto& [role, tensor] : arguments.tensors) EXPECT_EQ(tensor->bytes(), before[role]) << role;
    EXPECT_TRUE(memory.slack_intact());
  };
  refused(memory.data(), bytes - 1, LATHE_WORKSPACE, std::to_string(bytes));
  refused(memory.data(), 0, LATHE_WORKSPACE, std::to_string(bytes));
  for (const size_t offset : {1, 4, 32}) refused(memory.data() + offset, bytes + 64, LATHE_WORKSPACE, "aligned");
  for (const auto& [role, tensor] : arguments.tensors) {
    auto* data = static_cast<unsigned char*>(tensor->view.data);
    unsigned char* aligned = data - reinterpret_cast<uintptr_t>(data) % 64;
    refused(aligned, bytes, LATHE_WORKSPACE, "overlaps");
    refused(aligned + 64 - (bytes + 63) / 64 * 64, bytes, LATHE_WORKSPACE, "overlaps");
  }
  exec.size = 1;
  refused(nullptr, 0, LATHE_INVALID, "exec.size");
}

INSTANTIATE_TEST_SUITE_P(Ops, Descriptions, testing::ValuesIn(operators()),
                         [](const auto& test) { return test.param; });

template <typename Structure>
struct Longer {
  Structure structure;
  unsigned char later[8];
};

TEST(Structures, LongerOnesMustEndInZeros) {
  const Arguments arguments("causal", good());
  const Context& context = shared_context(1);
  const Plan plan(context, arguments);
  for (const unsigned char later : {0, 1}) {
    Longer<lathe_exec> exec{{}, {0, 0, 0, later}};
    exec.structure.size = sizeof exec;
    EXPECT_EQ(run(context, plan, arguments, &exec.structure), later ? LATHE_UNSUPPORTED : LATHE_OK) << context.error();
    Longer<lathe_config> config{{}, {0, 0, 0, later}};
    config.structure.size = sizeof config;
    lathe_context* other = nullptr;
    EXPECT_EQ(lathe_context_create(&config.structure, &other), later ? LATHE_UNSUPPORTED : LATHE_OK);
    EXPECT_EQ(other == nullptr, later != 0);
    lathe_context_destroy(other);
  }
}

TEST(Configs, ThatContradictThemselvesAreRefused) {
  const auto refused = [](const std::function<void(lathe_config&)>& change, const std::string& word) {
    lathe_config config{};
    config.size = sizeof config;
    change(config);
    lathe_context* context = nullptr;
    EXPECT_EQ(lathe_context_create(&config, &context), LATHE_INVALID);
    EXPECT_EQ(context, nullptr);
    EXPECT_TRUE(mentions(lathe_last_error(nullptr), word)) << lathe_last_error(nullptr);
  };
  refused([](lathe_config& c) { c.threads = -1; }, "-1");
  refused([](lathe_config& c) { c.threads = 1 << 20; }, "1048576");
  refused([](lathe_config& c) { c.size = 0; }, "config.size");
  refused([](lathe_config& c) { c.size = ~0u; }, "config.size");
  refused([](lathe_config& c) { c.alloc = [](void*, size_t, size_t) -> void* { return nullptr; }; }, "alloc");
  refused([](lathe_config& c) { c.dealloc = [](void*, void*, size_t) {}; }, "dealloc");
}

// Good each, wrong together.
TEST(Together, LengthsAndSeqlens) {
  Problem p = good();
  p.B = 1;
  p.cu_seqlens = {0, 2, 6};
  p = reals(p, Type::F32, 92, true);
  const Tensor lengths(Type::I64, {1});
  for (const char* op : {"causal", "noncausal", "accumulate", "readout", "decode"})
    Refuser(Arguments(op, p))
        .expect_refused({"both",
                         [&](SpoiledCall& c) { c.add(LATHE_LENGTHS, lengths.view); },
                         LATHE_INVALID,
                         {"LENGTHS", "CU_SEQLENS", "both"}});
}

TEST(Lessons, Fla837PackedSequencesRefuseABatch) {
  Tensor offsets(Type::I64, {3});
  offsets.write({0, 2, 6});
  for (const std::string& op : operators())
    Refuser(Arguments(op, good()))
        .expect_refused({"both",
                         [&](SpoiledCall& c) { c.add(LATHE_CU_SEQLENS, offsets.view); },
                         LATHE_INVALID,
                         {"CU_SEQLENS", "1", "2"}});
}

TEST(Together, WiderThanKernels) {
  for (const char* op : {"causal", "noncausal", "accumulate", "readout", "decode"})
    Refuser(Arguments(op, good()))
        .expect_refused({"V of 1025",
                         [](SpoiledCall& c) {
                           for (const uint32_t role : {LATHE_V, LATHE_O, LATHE_STATE_IN, LATHE_STATE_OUT})
                             if (c.has(role)) c[role].shape[3] = 1025, c[role].strides[2] = 1025;
                         },
                         LATHE_INVALID,
                         {"1024", "1025"}});
}

// As many heads as no state could hold: sizes of scratch follow from them before anything is read.
TEST(Together, MoreHeadsThanSizesCanCount) {
  const Context& context = shared_context(1);
  alignas(64) float storage[64] = {};
  int64_t keys[] = {1, 0, 1, 1024}, values[] = {1, 0, int64_t{1} << 39, 1024}, strides[] = {0, 0, 0, 1};
  const auto tensor = [&](int64_t* shape) { return lathe_tensor{storage, 1, 0, 4, 2, 32, 1, shape, strides, 0}; };
  const lathe_tensor k = tensor(keys), v = tensor(values), o = tensor(values);
  const lathe_arg args[] = {{LATHE_Q, &k}, {LATHE_K, &k}, {LATHE_V, &v}, {LATHE_O, &o}};
  lathe_desc desc{};
  desc.size = sizeof desc;
  desc.op = "causal";
  lathe_plan* plan = nullptr;
  EXPECT_EQ(lathe_plan_create(context.get(), &desc, args, 4, &plan), LATHE_INVALID);
  EXPECT_TRUE(mentions(context.error(), "V") && mentions(context.error(), "65536")) << context.error();
  lathe_plan_destroy(plan);
}

}  // namespace
