#include "contents.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "footprint.h"
#include "sequences.h"
#include "status.h"

namespace lathe {

namespace {

using Footprints = std::array<Footprint, kRoles>;

Footprints footprints(const Problem& p) {
  Footprints covered;
  for (uint32_t role = 0; role < kRoles; role++)
    if (p[role].present()) covered[role] = Footprint(p[role]);
  return covered;
}

// The state may be updated in place; nothing else that is written may be anything that is read or written beside it.
bool same_state(const Problem& p, uint32_t a, uint32_t b) {
  const auto pair = [&](uint32_t in, uint32_t out) {
    if (!((a == in && b == out) || (a == out && b == in)) || p[in].data != p[out].data) return false;
    for (int d = 0; d < p[in].rank; d++)
      if (p[in].shape[d] > 1 && p[in].stride[d] != p[out].stride[d]) return false;
    return true;
  };
  return pair(LATHE_STATE_IN, LATHE_STATE_OUT) || pair(LATHE_Z_IN, LATHE_Z_OUT) ||
         pair(LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT) || pair(LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT);
}

void check_overlap(const Problem& p) {
  const Footprints covered = footprints(p);
  for (uint32_t a = 0; a < kRoles; a++) {
    if (!p[a].present() || !find_role(a)->output) continue;
    require(!covered[a].overlaps_itself(),
            "{}: its strides make elements overlap; expected memory for each, as an output needs", find_role(a)->name);
    for (uint32_t b = 0; b < kRoles; b++)
      if (a != b && p[b].present() && !same_state(p, a, b))
        require(p[a].memory != p[b].memory || covered[a].apart(covered[b]),
                "{} overlaps {}: expected memory of its own, as an output needs", find_role(a)->name,
                find_role(b)->name);
  }
}

// An integer of the caller's that must lie in [low, high].
void within(const Problem& p, uint32_t role, int64_t n, int64_t low, int64_t high) {
  const int64_t came = p[role].integer(n);
  require(came >= low && came <= high, "{}[{}]: expected {} to {}, got {}", find_role(role)->name, n, low, high, came);
}

void check_slots(const Problem& p, SlotList& taken) {
  const Sizes& s = p.sizes;
  if (!p[LATHE_SLOTS].present() || s.states == kFree) return;
  require(s.N <= s.states, "SLOTS: {} sequences need as many rows of the states, got {}", s.N, s.states);
  taken.clear();
  for (int64_t n = 0; n < s.N; n++) {
    within(p, LATHE_SLOTS, n, 0, s.states - 1);
    taken.emplace_back(p[LATHE_SLOTS].integer(n), n);
  }
  std::sort(taken.begin(), taken.end());
  for (size_t i = 1; i < taken.size(); i++)
    require(taken[i].first != taken[i - 1].first,
            "SLOTS[{}]: expected a row of its own, got {}, which is also SLOTS[{}]", taken[i].second, taken[i].first,
            taken[i - 1].second);
}

void check_seqlens(const Problem& p) {
  const Sizes& s = p.sizes;
  if (!p[LATHE_CU_SEQLENS].present()) return;
  within(p, LATHE_CU_SEQLENS, 0, 0, 0);
  for (int64_t n = 0; n < s.N; n++) within(p, LATHE_CU_SEQLENS, n + 1, p[LATHE_CU_SEQLENS].integer(n), s.Tk);
  // the last is the number of tokens: none may belong to nobody
  within(p, LATHE_CU_SEQLENS, s.N, s.Tk, s.Tk);
}

// Kernels count positions in 32 bits.
void check_positions(const Problem& p, const Meaning& meaning) {
  constexpr int64_t most = int64_t{1} << 30;
  const Sizes& s = p.sizes;
  if (p[LATHE_POSITION].present())
    for (int64_t n = 0; n < s.N; n++) within(p, LATHE_POSITION, n, 0, most);
  if (meaning.map->inputs == MapInputs::kPosition)
    require(std::max(s.Tq, s.Tk) <= most, "{}: the map {} counts up to {} tokens, got {}", s.Tq > most ? "Q" : "K",
            meaning.map->name, most, std::max(s.Tq, s.Tk));
}

void check_decay(const Problem& p, const Meaning& meaning) {
  const Tensor& decay = p[LATHE_DECAY];
  for (int64_t h = 0; h < decay.shape[0]; h++) {
    const float g = *decay.floats(h);
    require(g <= 0 || (g > 0 && meaning.clamps()), "DECAY[{}]: expected the log of a decay, at most 0, got {}", h, g);
  }
}

void check_step_sizes(const Problem& p, const Meaning& meaning) {
  const Tensor& sizes = p[LATHE_STEP_SIZE];
  for (int64_t h = 0; h < sizes.shape[0]; h++) {
    const float size = *sizes.floats(h);
    require(std::isfinite(size), "STEP_SIZE[{}]: expected a finite number, got {}", h, size);
    // a root is taken of it
    require(size >= 0 || !meaning.variant->adapts(), "STEP_SIZE[{}]: expected at least 0 for the variant {}, got {}", h,
            meaning.variant->name, size);
  }
}

// The first of n numbers that is above 0, or -1. By their bits: the compiler does not vectorise a comparison of numbers
// that may be NaN, and there may be as many of these as keys. A first look also stops at a NaN without a sign.
int64_t first_above_zero(const Strided& row, int64_t n) {
  const auto above = [](float x) { return std::bit_cast<uint32_t>(x) - 1u < 0x7f800000u; };
  if (row.storage == Storage::kF32 && row.stride == 1) {
    int32_t any = 0;
    for (int64_t i = 0; i < n; i++)
      any |= std::bit_cast<int32_t>(reinterpret_cast<const float*>(row.data)[i]) > 0 ? 1 : 0;
    if (!any) return -1;
  }
  for (int64_t i = 0; i < n; i++)
    if (above(row[i])) return i;
  return -1;
}

// The same of steps: one below 0 would grow the state, and turn its value round.
void check_steps(const Problem& p) {
  const Tensor &steps = p[LATHE_DT], &bias = p[LATHE_DT_BIAS];
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Sequence s = sequence(p, n);
    for (int64_t t = s.first; t < s.first + s.queries; t++) {
      const Strided row{steps.at(s.batch, t), steps.stride[2], steps.storage};
      for (int64_t h = 0; h < steps.shape[2]; h++) {
        const float step = row[h] + (bias.present() ? *bias.floats(h) : 0.f);
        require(!(step < 0), "DT[{},{},{}]: expected a step, with its bias at least 0, got {}", s.batch, t, h, step);
      }
    }
  }
}

// Whether n numbers lie in a row of float32 and are 0 to `largest`, by their bits for the same reason; a NaN or -0 is
// to be looked at again.
bool plainly_within(const Strided& row, int64_t n, float largest) {
  if (row.storage != Storage::kF32 || row.stride != 1) return false;
  uint32_t most = 0;
  for (int64_t i = 0; i < n; i++)
    most = std::max(most, std::bit_cast<uint32_t>(reinterpret_cast<const float*>(row.data)[i]));
  return most <= std::bit_cast<uint32_t>(largest);
}

// One above 1 goes past the token's value, above 2 further away than it came from; one below 0 goes away from it.
void check_betas(const Problem& p, float largest) {
  const Tensor& betas = p[LATHE_BETA];
  const int64_t heads = betas.shape[2];
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Sequence s = sequence(p, n);
    for (int64_t t = s.first; t < s.first + s.queries; t++) {
      const Strided row{betas.at(s.batch, t), betas.stride[2], betas.storage};
      if (plainly_within(row, heads, largest)) continue;
      for (int64_t h = 0; h < heads; h++)
        require(!(row[h] < 0 || row[h] > largest), "BETA[{},{},{}]: expected 0 to {}{}, got {}", s.batch, t, h, largest,
                largest == 1 ? " (to 2 with the flag REFLECT)" : "", row[h]);
    }
  }
}

// Of the tokens that count. A NaN is an answer that is NaN; a gate above 0 is a mistake of sign, and ends in
// infinities.
void check_gate(const Problem& p) {
  const Tensor& gate = p[LATHE_GATE];
  const bool keyed = gate.rank == 4;
  for (int64_t n = 0; n < p.sizes.N; n++) {
    const Sequence s = sequence(p, n);
    for (int64_t t = s.first; t < s.first + s.queries; t++)
      for (int64_t h = 0; h < (keyed ? gate.shape[2] : 1); h++) {
        const Strided row{gate.at(s.batch, t, h), gate.stride[gate.rank - 1], gate.storage};
        const int64_t i = first_above_zero(row, gate.shape[gate.rank - 1]);
        if (i < 0) continue;
        const std::string at = keyed ? written("{},{},{},{}", s.batch, t, h, i) : written("{},{},{}", s.batch, t, i);
        fail(LATHE_INVALID, "GATE[{}]: expected the log of a decay, at most 0, got {}", at, row[i]);
      }
  }
}

}  // namespace

void check_contents(const Problem& p, const Meaning& meaning, SlotList& slots) {
  check_overlap(p);
  if (p[LATHE_LENGTHS].present())
    for (int64_t b = 0; b < p.sizes.B; b++) within(p, LATHE_LENGTHS, b, 0, p.sizes.Tk);
  check_seqlens(p);
  check_positions(p, meaning);
  check_slots(p, slots);
  if (p.device != kCpu) return;  // what lies there cannot be looked at
  check_decay(p, meaning);
  check_step_sizes(p, meaning);
  if (p[LATHE_GATE].present() && !meaning.clamps()) check_gate(p);
  if (p[LATHE_BETA].present() && !meaning.clamps() && !meaning.sigmoid()) check_betas(p, meaning.largest_beta());
  if (p[LATHE_DT].present() && !meaning.clamps() && !meaning.softplus()) check_steps(p);
}

void check_workspace(const Problem& p, const char* workspace, size_t bytes) {
  const Footprint used(workspace, static_cast<int64_t>(bytes));
  for (uint32_t role = 0; role < kRoles; role++)
    if (p[role].present() && !used.apart(Footprint(p[role])))
      fail(LATHE_WORKSPACE, "exec.workspace overlaps {}: expected {} bytes of memory of its own", find_role(role)->name,
           bytes);
}

}  // namespace lathe
