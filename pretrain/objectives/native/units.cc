// Cut windows into units and draw some of them. Twin: plain/units.py.
#include "units.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace taixue {
namespace {

constexpr uint8_t kUnitFlag = 1, kClauseFlag = 4, kEntityFlag = 16, kConnectiveFlag = 32, kFirst = 64, kSecond = 128;

int64_t budget_of(int64_t real, double share) {
  const auto wanted = static_cast<int64_t>(std::nearbyint(static_cast<double>(real) * share));
  return std::min(std::max<int64_t>(wanted, 1), real);
}

int32_t mark(int32_t first, int type) { return (first + 1) << 3 | type; }

}  // namespace

void Units::cut(const Windows& windows, size_t row, const UnitRules& rules) {
  const size_t length = windows.length;
  const int32_t* tokens = windows.tokens + row * length;
  stride_ = windows.stride;
  row_ = windows.rows + row * length * stride_;
  const bool entities = rules.holds(kEntity), connectives_count = rules.holds(kConnective);
  const bool idioms = rules.holds(kIdiom);
  begins.clear();
  types.clear();
  connectives.clear();
  uint8_t before = kSpecial, value_before = 0;
  for (size_t place = 0; place < length; ++place) {
    const uint8_t* fields = row_ + place * stride_;
    const uint8_t flags = fields[0];
    uint8_t type, value = 0;
    bool starts;
    if (windows.special[tokens[place]]) {
      type = kSpecial;
      starts = true;
    } else if (entities && fields[2]) {
      type = kEntity;
      value = fields[2];
      starts = before != kEntity || value != value_before || (flags & kEntityFlag);
    } else if (connectives_count && fields[3]) {
      type = kConnective;
      value = fields[3];
      starts = before != kConnective || value != value_before || (flags & kConnectiveFlag);
    } else {
      type = idioms && rules.idioms[fields[1]] ? kIdiom : kWord;
      starts = (before != kWord && before != kIdiom) || (flags & kUnitFlag);
    }
    if (starts) {
      if (type == kConnective) connectives.push_back(static_cast<int32_t>(types.size()));
      begins.push_back(static_cast<int32_t>(place));
      types.push_back(type);
    }
    before = type;
    value_before = value;
  }
  begins.push_back(static_cast<int32_t>(length));
  clauses.clear();
  if (rules.holds(kClause)) find_clauses(rules);
}

void Units::find_clauses(const UnitRules& rules) {
  const auto count = static_cast<int32_t>(size());
  for (const int32_t connective : connectives) {
    const int32_t first = connective + 1;
    int32_t last = first;
    while (last < count && types[last] != kSpecial && !(flags(last) & kClauseFlag)) ++last;
    while (last > first && rules.closing[row_[begins[last - 1] * stride_ + 1]]) --last;
    const int32_t length = begins[last] - begins[first];
    if (length >= 2 && length <= rules.longest_clause) clauses.push_back({first, last});
  }
}

int32_t Units::partner(int32_t unit) const {
  const uint8_t mine = flags(unit);
  const auto here = std::find(connectives.begin(), connectives.end(), unit);
  if (mine & kFirst) {
    for (auto other = here + 1; other < connectives.end(); ++other) {
      if ((flags(*other) & kSecond) && relation(*other) == relation(unit)) return *other;
    }
  } else if (mine & kSecond) {
    for (auto other = here; other > connectives.begin();) {
      --other;
      if ((flags(*other) & kFirst) && relation(*other) == relation(unit)) return *other;
    }
  }
  return -1;
}

void Pool::fill(const Units& units, const std::array<int64_t, kUnitTypes>& weights) {
  weights_ = weights;
  for (auto& part : left_) part.clear();
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (units.types[unit] != kSpecial) left_[units.types[unit]].push_back(static_cast<int32_t>(unit));
  }
  for (size_t clause = 0; clause < units.clauses.size(); ++clause) left_[kClause].push_back(static_cast<int32_t>(clause));
  total_ = 0;
  for (int type = 0; type < kUnitTypes; ++type) total_ += weights_[type] * left_[type].size();
}

std::pair<UnitType, int32_t> Pool::draw(uint64_t number) {
  uint64_t place = below_64(number, total_);
  int type = 0;
  while (place >= weights_[type] * left_[type].size()) place -= weights_[type] * left_[type].size(), ++type;
  auto& part = left_[type];
  const size_t index = place / weights_[type];
  const int32_t found = part[index];
  part[index] = part.back();
  part.pop_back();
  total_ -= weights_[type];
  return {static_cast<UnitType>(type), found};
}

void choose_tokens(const Windows& windows, double share, int32_t* marks) {
  constexpr uint64_t kPlaces = (1u << 20) - 1;
  std::vector<uint64_t> ranks, all;
  for (size_t row = 0; row < windows.batch; ++row) {
    const int32_t* tokens = windows.tokens + row * windows.length;
    all.clear();
    for (size_t place = 0; place < windows.length; ++place) {
      if (!windows.special[tokens[place]]) {
        all.push_back((number_at(windows.keys[row], place) & ~kPlaces) | place);
      }
    }
    int32_t* out = marks + row * windows.length;
    std::fill_n(out, windows.length, 0);
    const auto real = static_cast<double>(all.size());
    const int64_t budget = budget_of(static_cast<int64_t>(all.size()), share);
    if (budget == 0) continue;
    // Ranks are uniform: the smallest are almost surely among those below a little more than their share.
    const double part = (static_cast<double>(budget) + 4 * std::sqrt(real)) / real;
    const uint64_t limit = part < 1 ? static_cast<uint64_t>(part * 0x1p64) : ~uint64_t{0};
    ranks.clear();
    std::copy_if(all.begin(), all.end(), std::back_inserter(ranks), [limit](uint64_t rank) { return rank <= limit; });
    if (static_cast<int64_t>(ranks.size()) < budget) ranks = all;
    std::nth_element(ranks.begin(), ranks.begin() + (budget - 1), ranks.end());
    for (int64_t k = 0; k < budget; ++k) {
      const auto place = static_cast<int32_t>(ranks[k] & kPlaces);
      out[place] = mark(place, kWord);
    }
  }
}

namespace {

// Draws units of one window until the budget is met.
class Choice {
 public:
  Choice(const Units& units, const UnitRules& rules, uint64_t key, int64_t budget, int32_t* marks)
      : units_(units), rules_(rules), key_(key), left_(budget), marks_(marks) {
    for (int type = 0; type < kUnitTypes; ++type) {
      caps_[type] = static_cast<int64_t>(rules.caps[type] * static_cast<double>(budget));
    }
  }

  int64_t take_out_relation() {
    if (units_.connectives.empty()) return -100;
    const int32_t unit = units_.connectives[below_64(next(), units_.connectives.size())];
    if (!mark_units(unit, unit + 1, kRelation)) return -100;
    const int32_t partner = units_.partner(unit);
    if (partner >= 0) mark_units(partner, partner + 1, kRelation);
    return units_.relation(unit);
  }

  void run(Pool& pool) {
    pool.fill(units_, rules_.weights);
    while (left_ > 0 && !pool.empty()) {
      const auto [type, found] = pool.draw(next());
      if (type == kClause) {
        const Units::Clause clause = units_.clauses[found];
        take(clause.first, clause.last, kClause);
      } else if (type == kWord && !rules_.ngrams.empty()) {
        take_ngram(found);
      } else if (take(found, found + 1, type) && type == kConnective) {
        const int32_t partner = units_.partner(found);
        if (partner >= 0 && next() < rules_.pairs) take(partner, partner + 1, kConnective);
      }
    }
  }

 private:
  uint64_t next() { return number_at(key_, place_++); }

  bool take(int32_t first, int32_t last, UnitType type) {
    const int64_t size = missing(first, last);
    if (used_[type] + size > caps_[type] || !mark_units(first, last, type)) return false;
    used_[type] += size;
    return true;
  }

  // Words from `unit` on; each is a unit of its own.
  void take_ngram(int32_t unit) {
    const uint64_t number = next();
    size_t words = 1;
    while (words < rules_.ngrams.size() && number >= rules_.ngrams[words - 1]) ++words;
    const auto count = static_cast<int32_t>(units_.size());
    for (; words > 0 && unit < count && units_.types[unit] == kWord; --words, ++unit) {
      if (!take(unit, unit + 1, kWord)) return;
    }
  }

  int64_t missing(int32_t first, int32_t last) const {
    int64_t size = 0;
    for (int32_t place = units_.begin(first); place < units_.begin(last); ++place) size += marks_[place] == 0;
    return size;
  }

  // All tokens that are not marked yet, if there are any and all of them fit.
  bool mark_units(int32_t first, int32_t last, int type) {
    const int64_t size = missing(first, last);
    if (size == 0 || size > left_) return false;
    for (int32_t place = units_.begin(first); place < units_.begin(last); ++place) {
      if (marks_[place] == 0) marks_[place] = mark(units_.begin(first), type);
    }
    left_ -= size;
    return true;
  }

  const Units& units_;
  const UnitRules& rules_;
  const uint64_t key_;
  uint64_t place_ = 0;
  int64_t left_;
  int32_t* marks_;
  std::array<int64_t, kUnitTypes> used_{}, caps_{};
};

}  // namespace

void choose_units(const Windows& windows, double share, const UnitRules& rules, int32_t* marks, int64_t* relations) {
  Units units;
  Pool pool;
  for (size_t row = 0; row < windows.batch; ++row) {
    int32_t* out = marks + row * windows.length;
    std::fill_n(out, windows.length, 0);
    units.cut(windows, row, rules);
    int64_t real = 0;
    for (size_t unit = 0; unit < units.size(); ++unit) real += units.types[unit] == kSpecial ? 0 : units.length(unit);
    Choice choice(units, rules, windows.keys[row], budget_of(real, share), out);
    relations[row] = rules.relation ? choice.take_out_relation() : -100;
    choice.run(pool);
  }
}

}  // namespace taixue
