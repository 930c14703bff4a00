#include "tables.h"

#include <set>

namespace lathe {

namespace {

struct Tokens {
  int64_t count, padding;
};
Tokens tokens_of(const Problem& p, const Sequence& s, uint32_t role) {
  if (role == gradient_of(LATHE_K)) return {s.keys, p[LATHE_LENGTHS].present() ? p.sizes.Tk - s.keys : 0};
  return role == LATHE_Q || role == LATHE_O ? Tokens{s.queries, s.padding} : Tokens{s.keys, 0};
}

}  // namespace

int64_t most_chunks(const Problem& p, uint32_t role, int64_t chunk) {
  int64_t most = 0;
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Tokens tokens = tokens_of(p, sequence(p, n), role);
    most = std::max(most, chunks_of(tokens.count + tokens.padding, chunk));
  }
  return most;
}

size_t Tables::append(const std::vector<int64_t>& list) {
  constexpr size_t grain = kDeviceAlignment / sizeof(int32_t);
  const size_t begin = numbers_.size();
  for (const int64_t number : list) numbers_.push_back(static_cast<int32_t>(number));
  numbers_.resize((numbers_.size() + grain - 1) / grain * grain);
  return begin;
}

Items Tables::add(const std::vector<Item>& items) {
  const auto list = [&](int64_t Item::*part) {
    std::vector<int64_t> numbers;
    numbers.reserve(items.size());
    for (const Item& item : items) numbers.push_back(item.*part);
    return append(numbers);
  };
  return {static_cast<int64_t>(items.size()),
          list(&Item::token),
          list(&Item::batch),
          list(&Item::rows),
          list(&Item::all),
          list(&Item::position),
          list(&Item::skipped),
          list(&Item::left)};
}

Tables::Item Tables::stretch(const Problem& p, int64_t n, uint32_t role, int64_t first, int64_t rows) {
  const Sequence s = sequence(p, n);
  const Tokens tokens = tokens_of(p, s, role);
  const int64_t all = std::clamp<int64_t>(tokens.count + tokens.padding - first, 0, rows);
  // where there is no token there is none to be read
  return {all > 0 ? s.first + first : 0,
          all > 0 ? s.batch : 0,
          std::clamp<int64_t>(tokens.count - first, 0, rows),
          all,
          s.position + first,
          0,
          std::max<int64_t>(tokens.count - first, 0)};
}

Items Tables::chunks_from(const Problem& p, uint32_t role, int64_t chunk, int64_t first) {
  std::vector<Item> items;
  const int64_t most = most_chunks(p, role, chunk);
  for (int64_t c = 0; c < most; c++)
    for (int64_t n = 0; n < p.sizes.N; n++) items.push_back(stretch(p, n, role, first + c * chunk, chunk));
  return add(items);
}

Items Tables::chunks(const Problem& p, uint32_t role, int64_t chunk) { return chunks_from(p, role, chunk, 0); }
Items Tables::following(const Problem& p, uint32_t role, int64_t chunk) { return chunks_from(p, role, chunk, 1); }

Items Tables::heads(const Problem& p, int64_t heads) {
  const bool packed = p[LATHE_CU_SEQLENS].present();
  std::vector<Item> items;
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Item token = stretch(p, n, LATHE_Q, 0, 1);
    items.push_back({0, packed ? token.token : token.batch, heads * token.rows, heads * token.all, token.position});
  }
  Items made = add(items);
  made.heads_are_rows = true;
  return made;
}

Items Tables::states(const Problem& p, int64_t rows) {
  std::vector<Item> items;
  for (int64_t n = 0; n < p.sizes.N; n++) items.push_back({0, sequence(p, n).state, rows, rows, 0});
  return add(items);
}

std::vector<Ends> Tables::ends(const Problem& p, uint32_t role, int64_t chunk, const Items& states, const Items& sums,
                               int64_t rows, int64_t rows_of_sums) {
  std::vector<int64_t> chunks;
  for (int64_t n = 0; n < p.sizes.N; n++)
    chunks.push_back(chunks_of(std::max<int64_t>(tokens_of(p, sequence(p, n), role).count, 0), chunk));
  std::vector<Ends> all;
  for (const int64_t end : std::set<int64_t>(chunks.begin(), chunks.end())) {
    const auto of_those = [&](Items items, int64_t each) {
      std::vector<int64_t> list;
      list.reserve(chunks.size());
      for (const int64_t count : chunks) list.push_back(count == end ? each : 0);
      items.rows = items.all = append(list);
      return items;
    };
    all.push_back({end, of_those(states, rows), of_those(sums, rows_of_sums)});
  }
  return all;
}

std::vector<Items> Tables::after_tokens(const Problem& p, int64_t rows) {
  const bool packed = p[LATHE_CU_SEQLENS].present();
  std::vector<Item> items;
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Item first = stretch(p, n, LATHE_Q, 0, 1);
    items.push_back({0, packed ? first.token : first.batch, rows, rows, 0, 0, first.left});
  }
  const Items states = add(items);
  std::vector<Items> all(static_cast<size_t>(most_chunks(p, LATHE_Q, 1)), states);
  for (size_t t = 0; t < all.size(); t++) {
    std::vector<int64_t> list;
    list.reserve(items.size());
    for (const Item& item : items) list.push_back(static_cast<int64_t>(t) < item.left ? rows : 0);
    all[t].rows = all[t].all = append(list);
  }
  return all;
}

Items Tables::mirrored(const Problem& p, uint32_t role, int64_t chunk) {
  std::vector<Item> items;
  for (int64_t c = most_chunks(p, role, chunk); c-- > 0;)
    for (int64_t n = 0; n < p.sizes.N; n++) items.push_back({0, c * p.sizes.N + n, chunk, chunk, 0});
  return add(items);
}

Items Tables::mirrored_gates(const Problem& p, int64_t chunk) {
  std::vector<Item> items;
  for (int64_t c = most_chunks(p, LATHE_Q, chunk); c-- > 0;)
    for (int64_t n = 0; n < p.sizes.N; n++) {
      const Sequence s = sequence(p, n);
      const int64_t after = (c + 1) * chunk, skipped = std::clamp<int64_t>(after - s.queries + 1, 0, chunk);
      const int64_t token = skipped < chunk ? p.sizes.Tk - 1 - (s.first + after) : -chunk;
      items.push_back({token, s.batch, chunk, chunk, 0, skipped});
    }
  return add(items);
}

Items Tables::first_tokens(const Problem& p) {
  std::vector<Item> items;
  for (int64_t n = 0; n < p.sizes.N; n++) items.push_back(stretch(p, n, LATHE_Q, 0, 1));
  return add(items);
}

Items Tables::numbered(const Problem& p) {
  std::vector<Item> items;
  for (int64_t n = 0; n < p.sizes.N; n++) items.push_back({0, n, 1, 1, 0});
  return add(items);
}

Items Tables::rows_of(int64_t items, int64_t first, int64_t rows) {
  std::vector<Item> all;
  for (int64_t n = 0; n < items; n++) all.push_back({first, n, rows, rows, 0});
  return add(all);
}

Items Tables::alone(int64_t rows) { return add({{0, 0, rows, rows, 0}}); }

Tables::Addresses Tables::addresses(const Items& items, int64_t from, const Strides& strides, int64_t heads) {
  Addresses made;
  for (int64_t head = 0; head < heads; head++) {
    std::vector<int64_t> list;
    for (int64_t n = 0; n < items.count; n++) {
      const auto at = static_cast<size_t>(n);
      list.push_back((from + head * strides.head + numbers_[items.token + at] * strides.token +
                      numbers_[items.batch + at] * strides.batch) /
                     4);
    }
    const size_t begin = append(list);
    if (head == 0) made.begin = begin;
    made.apart = static_cast<int64_t>(numbers_.size() - begin);
  }
  return made;
}

void Tables::stage(Launcher& launcher) {
  const size_t bytes = numbers_.size() * sizeof(int32_t);
  place_ = launcher.take(bytes);
  if (bytes > 0) launcher.device().stage(place_, numbers_.data(), bytes);
}

}  // namespace lathe
