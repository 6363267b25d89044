// Hashes that are equal for equal texts, lines and tokens.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "texts.h"

namespace taixue {

class Identity {
 public:
  // What counts of a character: becomes[point] is a character, kNothing, or kLonger + a place in longer.
  static constexpr uint32_t kLonger = 0x80000000u, kNothing = 0xFFFFFFFFu;
  Identity(std::vector<uint32_t> becomes, std::vector<std::u32string> longer);

  // Two 64-bit numbers per text; per line also its characters.
  void exact_hash(const Texts& texts, uint64_t* out) const;
  Ragged<std::array<uint64_t, 3>> paragraph_hashes(const Texts& texts) const;

 private:
  class Form;
  std::vector<uint32_t> becomes_;
  std::vector<std::u32string> longer_;
};

// One number for each document; their tokens lie one after another.
void token_hash(const int32_t* tokens, const int64_t* lengths, size_t count, uint64_t* out);

}  // namespace taixue
