// What texts share with a fixed set of texts: long n-grams of units, and short texts as a whole.
#pragma once
#include <array>
#include <vector>

#include "match_units.h"
#include "minimizers.h"
#include "short_texts.h"
#include "texts.h"

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
  std::array<int64_t, 3> find_ngram(const Units& units, Minimizers& minimizers, std::vector<uint32_t>& candidates) const;
  bool may_be_known(uint32_t signature) const;
  template <typename Visit>
  bool walk(const Units& units, size_t first, size_t last, Visit visit) const;
  int32_t owner_of(uint64_t hash) const;  // -1: none

  Splitter splitter_;
  ShortTexts short_texts_;
  size_t ngram_;
  uint64_t leaving_ = 1;
  // After finish: grouped by the upper bits of the hash, within a group in the order they came in.
  std::vector<uint64_t> hashes_;
  std::vector<int32_t> owners_;
  std::vector<size_t> groups_;
  int group_shift_ = 0;
  std::vector<uint32_t> signatures_;  // until finish
  std::vector<uint64_t> signature_filter_, ngram_filter_;  // two bits of one number for each signature, one for each
  int signature_shift_ = 0, ngram_shift_ = 0;
};

}  // namespace taixue
