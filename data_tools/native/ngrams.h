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

  // First the texts whose n-grams are looked for; finish, once; then find.
  void add(const Texts& texts, int32_t owner);
  void finish();

  // N-grams that were added, the same one again and again too.
  size_t size() const { return hashes_.size(); }

  // Rows (number of the text, first character, last + 1, owner) of the first n-gram of each text that has one. The owner
  // is the first that the n-gram was added with.
  std::vector<std::array<int64_t, 4>> find(const Texts& texts) const;

 private:
  struct Units;

  void split(const Text& text, Units& units) const;
  uint64_t anchor(const Units& units, size_t first) const;
  template <typename Visit>
  bool walk(const Units& units, size_t first, size_t last, Visit visit) const;
  int32_t owner_of(uint64_t hash) const;  // -1: none

  std::vector<uint8_t> kinds_;
  std::vector<uint32_t> folded_;
  size_t ngram_, anchor_, stride_;
  uint64_t leaving_ = 1;
  std::vector<uint64_t> powers_;
  // After finish: grouped by the upper bits of the hash, within a group in the order they came in.
  std::vector<uint64_t> hashes_;
  std::vector<int32_t> owners_;
  std::vector<size_t> groups_;
  int group_shift_ = 0;
  std::vector<uint64_t> anchors_;  // until finish
  std::vector<uint64_t> filter_, whole_filter_;  // a bit for each anchor, for each n-gram
  int filter_shift_ = 0;
};

}  // namespace taixue
