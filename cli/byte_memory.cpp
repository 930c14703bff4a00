#include "byte_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::cli {

int64_t slot_of(uint64_t last_bytes, int context, int64_t slots) {
  const uint64_t key = last_bytes & ((uint64_t{1} << 8 * context) - 1);
  if (context == 1) return static_cast<int64_t>(key);
  // Fibonacci hashing, folded once: the low bits of a product know nothing of the high ones of its factor.
  const uint64_t product = key * 0x9e3779b97f4a7c15;
  return static_cast<int64_t>((product ^ product >> 29) * 0x9e3779b97f4a7c15 >> 40) % slots;
}

ByteMemory::Group::Group(int first_head, int heads, int64_t slots_each, int threads)
    : first(first_head), count(heads), slots(slots_each) {
  const auto of = [&](size_t width) { return std::vector<float>(kSegment * width); };
  const size_t width = static_cast<size_t>(count * slots);
  q = of(width);
  k = of(width);
  v = of(kBytes);
  o = of(static_cast<size_t>(count * kBytes));
  state.resize(width * kBytes);
  const Arguments free = arguments(-1), one = arguments(1);
  parallel.call = std::make_unique<Call>(What{"causal"}, free, threads);
  decode.call = std::make_unique<Call>(What{"decode"}, one, threads);
}

Arguments ByteMemory::Group::arguments(int64_t tokens) const {
  Arguments args;
  args.add(LATHE_Q, q, {1, tokens, count, slots});
  args.add(LATHE_K, k, {1, tokens, count, slots});
  // all heads remember the same bytes: a stride of zero
  args.add(LATHE_V, v, {1, tokens, count, kBytes}, {tokens * kBytes, kBytes, 0, 1});
  args.add(LATHE_O, o, {1, tokens, count, kBytes});
  args.add(LATHE_STATE_IN, state, {1, count, slots, kBytes});
  args.add(LATHE_STATE_OUT, state, {1, count, slots, kBytes});
  return args;
}

// contexts[t] ends before text[t], contexts[t + 1] with it.
void ByteMemory::Group::mark(const std::vector<uint64_t>& contexts, std::span<const uint8_t> text, float value) {
  for (size_t t = 0; t < text.size(); t++) {
    v[t * kBytes + text[t]] = value;
    for (int h = 0; h < count; h++) {
      const size_t row = (t * static_cast<size_t>(count) + static_cast<size_t>(h)) * static_cast<size_t>(slots);
      k[row + static_cast<size_t>(slot_of(contexts[t], first + h, slots))] = value;
      q[row + static_cast<size_t>(slot_of(contexts[t + 1], first + h, slots))] = value;
    }
  }
}

void ByteMemory::Group::run(Timer& timer, const std::vector<uint64_t>& contexts, std::span<const uint8_t> text,
                            Counts* counts) {
  mark(contexts, text, 1);
  const Arguments args = arguments(static_cast<int64_t>(text.size()));
  timer.seconds += seconds_of([&] { timer.call->run(args); });
  timer.tokens += static_cast<int64_t>(text.size());
  mark(contexts, text, 0);
  for (size_t t = 0; t < text.size(); t++)
    for (int h = 0; h < count; h++)
      std::copy_n(&o[(t * static_cast<size_t>(count) + static_cast<size_t>(h)) * kBytes], kBytes,
                  counts[t][static_cast<size_t>(first - 1 + h)].begin());
}

ByteMemory::ByteMemory(int threads)
    : groups_{Group(1, 1, kBytes, threads), Group(2, kHeads - 1, kHashedSlots, threads)} {}

void ByteMemory::read_segment(std::span<const uint8_t> text, bool parallel, Counts* counts) {
  std::vector<uint64_t> contexts{last_};
  for (uint8_t byte : text) contexts.push_back(contexts.back() << 8 | byte);
  for (Group& group : groups_) group.run(parallel ? group.parallel : group.decode, contexts, text, counts);
  last_ = contexts.back();
}

void ByteMemory::read(std::span<const uint8_t> text, const Each& each, size_t segment) {
  segment = std::clamp<size_t>(segment, 1, kSegment);
  std::vector<Counts> counts(segment);
  for (size_t start = 0; start < text.size(); start += segment) {
    const size_t tokens = std::min(segment, text.size() - start);
    read_segment(text.subspan(start, tokens), true, counts.data());
    for (size_t t = 0; t < tokens; t++) each(start + t, counts[t]);
  }
}

Counts ByteMemory::read_one(uint8_t byte) {
  Counts counts;
  read_segment({&byte, 1}, false, &counts);
  return counts;
}

ByteMemory::State ByteMemory::state() const { return {{groups_[0].state, groups_[1].state}, last_}; }

void ByteMemory::set_state(const State& state) {
  for (size_t i = 0; i < groups_.size(); i++) groups_[i].state = state.tables[i];
  last_ = state.last;
}

std::vector<Timed> ByteMemory::calls() const {
  std::vector<Timed> list;
  for (const Group& group : groups_) {
    const std::string heads = group.count == 1 ? "head 1" : fmt::format("heads {}-{}", group.first, kHeads);
    for (const auto& [timer, word] : {std::pair{&group.parallel, "reading"}, std::pair{&group.decode, "writing"}})
      list.push_back({fmt::format("memory, {}: {}", heads, word), timer->call->describe(), timer->seconds,
                      timer->tokens, 4.0 * static_cast<double>(group.count * group.slots * kBytes)});
  }
  return list;
}

}  // namespace lathe::cli
