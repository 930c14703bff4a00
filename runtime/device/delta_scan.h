// The causal scan under a delta rule on a device, where nothing is normalised: of all chunks at once what tokens take
// of each other's values and keys, one chunk after the other what they add to the state, and all outputs at once.
#pragma once

#include "keyed_chunks.h"

namespace lathe {

class DeltaScan : public KeyedChunks {
 public:
  using KeyedChunks::KeyedChunks;
  static bool takes(const Meaning& meaning) {
    return meaning.op->op == Op::kCausal && meaning.variant->corrects() && !meaning.normalise();
  }
  void run();

 private:
  bool keyed() const { return plan_.meaning.variant->keyed(); }
  // What tokens take of each other's values, C by C, and of the state that enters, K by C: `of` are heads of values.
  struct Taken {
    Tile of_values, of_state;
  };
  Tile betas_of_chunks();
  Taken solve(const Heads& of);
  Tile solve_by_keys(const Heads& of, const Tile& of_values, const Tile& of_keys);
  // What they add, and the states that follow.
  void walk(const Taken& taken, const Heads& of, const Tile& added);
  void outputs(int64_t value, const Tile& added);

  Items items_{};
  Tile q_{}, keys_{}, v_{}, beta_{}, turned_keys_{}, no_decays_{}, states_{}, o_{};
  Decays decays_{};
  Gates gates_{};
  Keys ready_{};
};

}  // namespace lathe
