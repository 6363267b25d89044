// Texts too short for n-grams, found as whole texts, lines and clauses of others; plain/short_texts.py has the rules.
#pragma once
#include <array>
#include <unordered_map>
#include <vector>

#include "match_units.h"

namespace taixue {

class ShortTexts {
 public:
  // First the texts looked for; finish, once; then find.
  void add(const Units& units, int32_t owner);
  void finish();

  bool is_empty() const { return owners_.empty(); }

  // (first unit, last + 1, owner) of the first text that is found; an owner of -1: none is.
  std::array<int64_t, 3> find(const Units& units) const;

 private:
  struct Seed {
    uint64_t hash;
    uint32_t text;
  };

  // After finish in the order of hashes, then texts; grouped by the upper bits of the hash.
  struct Seeds {
    std::vector<Seed> seeds;
    std::vector<uint32_t> groups;
    int shift = 0;

    void finish();
  };

  size_t size_of(uint32_t text) const { return offsets_[text + 1] - offsets_[text]; }
  size_t end_of(const Units& units, size_t begin, uint32_t text) const;
  size_t begin_of(const Units& units, size_t end, uint32_t text) const;
  bool is_found(const Units& units, size_t begin, size_t end, uint32_t text) const;
  template <typename Visit>
  bool visit(const Seeds& seeds, uint64_t hash, Visit visit) const;

  std::vector<uint64_t> values_;
  std::vector<size_t> offsets_{0};
  std::vector<int32_t> owners_;
  std::vector<uint8_t> are_lines_;                    // whether a text of a unit or two has letters enough for a line
  std::unordered_multimap<uint64_t, uint32_t> known_;  // texts by the hash of their units, until finish
  Seeds begins_, ends_, wholes_;
  std::vector<uint64_t> filter_;  // a bit for each seed
  int filter_shift_ = 0;
};

}  // namespace taixue
