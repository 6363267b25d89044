// Long n-grams that texts share with a fixed set of texts.
#pragma once
#include <array>
#include <vector>

#include "texts.h"

namespace taixue {

// A unit is a character of kind kSingle or a run of characters of kind kWordPart, lower-cased by `folded`.
class Ngrams {
 public:
  static constexpr uint8_t kSeparator = 0, kWordPart = 1, kSingle = 2;

  // kinds and folded: one entry per code point; hashes: those looked for, ascending, each once.
  Ngrams(std::vector<uint8_t> kinds, std::vector<uint32_t> folded, int ngram, std::vector<uint64_t> hashes);

  // The hashes of all n-grams of the texts.
  std::vector<uint64_t> hashes(const Texts& texts) const;

  // Rows (number of the text, first character, last + 1, place of the hash) of the first n-gram looked for of each
  // text that has one.
  std::vector<std::array<int64_t, 4>> find(const Texts& texts) const;

 private:
  template <typename Visit>
  void walk(const Text& text, Visit visit) const;
  bool may_hold(uint64_t hash) const;

  std::vector<uint8_t> kinds_;
  std::vector<uint32_t> folded_;
  size_t ngram_;
  uint64_t leaving_ = 1;
  std::vector<uint64_t> hashes_;
  std::vector<uint64_t> filter_;
  int shift_;
};

}  // namespace taixue
