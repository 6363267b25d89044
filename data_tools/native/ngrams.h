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

  // kinds and folded: one entry per code point.
  Ngrams(std::vector<uint8_t> kinds, std::vector<uint32_t> folded, int ngram);

  // Looks for the n-grams of these texts, too; one that is there already keeps its owner. Not while find runs.
  void add(const Texts& texts, int32_t owner);

  // Different n-grams.
  size_t size() const { return count_; }

  // Rows (number of the text, first character, last + 1, owner) of the first n-gram of each text that has one.
  std::vector<std::array<int64_t, 4>> find(const Texts& texts) const;

 private:
  struct Units;
  struct Slot {
    uint64_t hash;
    int32_t owner;  // kFree: none
  };
  static constexpr int32_t kFree = -1;

  void split(const Text& text, Units& units) const;
  uint64_t anchor(const Units& units, size_t first) const;
  template <typename Visit>
  bool walk(const Units& units, size_t first, size_t last, Visit visit) const;
  const Slot& slot(uint64_t hash) const;
  void insert(uint64_t hash, int32_t owner);
  void filter_anchor(uint64_t hash);
  void grow_filter();

  std::vector<uint8_t> kinds_;
  std::vector<uint32_t> folded_;
  size_t ngram_, anchor_, stride_;
  uint64_t leaving_ = 1;
  std::vector<uint64_t> powers_;
  std::vector<Slot> slots_;
  size_t count_ = 0;
  std::vector<uint64_t> anchors_;  // hashes of what was added, for when the filter grows
  std::vector<uint64_t> filter_;
  int filter_shift_;
};

}  // namespace taixue
