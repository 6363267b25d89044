// What texts share with a fixed set of texts: long n-grams of units, and short texts as a whole.
#pragma once
#include <array>
#include <vector>

#include "short_texts.h"
#include "texts.h"
#include "match_units.h"

namespace taixue {

class Ngrams {
 public:
  Ngrams(Splitter splitter, int ngram);

  // First the texts looked for: of each, its units; then finish, once; then find. A text of fewer units than two n-grams
  // is a short text, one of as many as an n-gram has n-grams.
  std::vector<int64_t> add(const Texts& texts, int32_t owner);
  void finish();

  // Rows (number of the text, first character, last + 1, owner) of the first n-gram of each text that has one, else of a
  // short text. The owner is the first that it was added with.
  std::vector<std::array<int64_t, 4>> find(const Texts& texts) const;

 private:
  std::array<int64_t, 3> find_ngram(const Units& units, std::vector<uint32_t>& candidates) const;
  uint64_t anchor(const Units& units, size_t first) const;
  template <typename Visit>
  bool walk(const Units& units, size_t first, size_t last, Visit visit) const;
  int32_t owner_of(uint64_t hash) const;  // -1: none

  Splitter splitter_;
  ShortTexts short_texts_;
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
