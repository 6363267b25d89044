// Units of annotated tokens, and drawing them; plain/units.py is the specification.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "taixue/base/rng.h"

namespace taixue {

enum UnitType : uint8_t { kWord, kEntity, kConnective, kIdiom, kClause, kUnitTypes, kRelation = 5, kSpecial = 6 };

// plain/units.py says what each is.
struct UnitRules {
  std::array<int64_t, kUnitTypes> weights;
  std::array<double, kUnitTypes> caps;
  unsigned layers;
  std::array<bool, 256> idioms, closing;
  int64_t longest_clause;
  uint64_t pairs;
  std::vector<uint64_t> ngrams;
  bool relation;
  bool holds(UnitType type) const { return layers >> type & 1; }
};

// Windows of tokens (batch, length) with their annotation rows of `stride` bytes and one key each.
struct Windows {
  const int32_t* tokens;
  const uint8_t* rows;  // null where there is no annotation
  const uint64_t* keys;
  size_t batch, length, stride;
  const uint8_t* special;  // one per id: never masked
};

// One window cut into units. Reused from row to row.
class Units {
 public:
  struct Clause {
    int32_t first, last;  // units [first, last)
  };

  void cut(const Windows& windows, size_t row, const UnitRules& rules);
  size_t size() const { return types.size(); }
  int32_t begin(size_t unit) const { return begins[unit]; }
  int32_t end(size_t unit) const { return begins[unit + 1]; }
  int32_t length(size_t unit) const { return end(unit) - begin(unit); }
  int32_t partner(int32_t unit) const;  // of a pair of connectives; -1: none
  uint8_t relation(size_t unit) const { return row_[begins[unit] * stride_ + 3]; }

  std::vector<int32_t> begins;  // one more than units
  std::vector<uint8_t> types;
  std::vector<Clause> clauses;
  std::vector<int32_t> connectives;

 private:
  void find_clauses(const UnitRules& rules);
  uint8_t flags(size_t unit) const { return row_[begins[unit] * stride_]; }

  const uint8_t* row_ = nullptr;
  size_t stride_ = 0;
};

// What is left to draw, by type: weighted sampling without replacement.
class Pool {
 public:
  void fill(const Units& units, const std::array<int64_t, kUnitTypes>& weights);
  bool empty() const { return total_ == 0; }
  // A candidate and its type; a clause's number is that of units.clauses.
  std::pair<UnitType, int32_t> draw(uint64_t number);

 private:
  std::array<std::vector<int32_t>, kUnitTypes> left_;
  std::array<int64_t, kUnitTypes> weights_{};
  uint64_t total_ = 0;
};

// units.cc. marks int32 (batch, length): 0, or (place of the unit's first token + 1) << 3 | type.
void choose_tokens(const Windows& windows, double share, int32_t* marks);
// relations int64 (batch): class of the connective that was taken out, or -100.
void choose_units(const Windows& windows, double share, const UnitRules& rules, int32_t* marks, int64_t* relations);

// unit_spans.cc. edges int32 (batch, spans, 2): ascending [begin, end), or -1 where none were found; cuts int32
// (batch): units that are partly inside a span.
void unit_spans(const Windows& windows, int64_t noise, int64_t spans, const UnitRules& rules, int32_t* edges,
                int32_t* cuts);

// masked_windows.cc
struct MlmLayout {
  const uint64_t* replacement_keys;
  const uint64_t* order_keys;  // null: one segment
  const int32_t* replaced;     // null: [MASK] 80 %, a random token 10 %, the token 10 %
  std::vector<int32_t> ordinary;
  int32_t mask, cls, sep;
  unsigned per_unit;
};
struct MlmArrays {
  int64_t *input_ids, *token_type_ids, *labels, *swapped, *index;
};
void lay_out_mlm(const Windows& windows, const int32_t* marks, const MlmLayout& layout, const MlmArrays& out);

}  // namespace taixue
