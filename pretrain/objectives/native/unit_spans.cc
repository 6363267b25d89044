// Spans of whole units, with an exact number of tokens and of spans. Twin: plain/unit_spans.py.
#include <algorithm>

#include "units.h"

namespace taixue {
namespace {

class Spans {
 public:
  bool find(const Windows& windows, size_t row, int64_t noise, int64_t spans, const UnitRules& rules) {
    rules_ = &rules;
    length_ = static_cast<int32_t>(windows.length);
    left_ = noise;
    key_ = windows.keys[row];
    place_ = 0;
    units_.cut(windows, row, rules);
    owner_.assign(length_, kFree);
    unit_of_.resize(length_);
    for (size_t unit = 0; unit < units_.size(); ++unit) {
      for (int32_t place = units_.begin(unit); place < units_.end(unit); ++place) {
        unit_of_[place] = static_cast<int32_t>(unit);
        if (units_.types[unit] == kSpecial) owner_[place] = kBarrier;
      }
    }
    spans_.clear();
    taken_.clear();
    for (int type = 0; type < kUnitTypes; ++type) {
      used_[type] = 0;
      caps_[type] = static_cast<int64_t>(rules.caps[type] * static_cast<double>(noise));
    }
    anchor(spans);
    if (static_cast<int64_t>(spans_.size()) < spans) return false;
    grow();
    return left_ == 0;
  }

  // Sorted edges; returns how many units are partly inside a span.
  int32_t write(int32_t* edges) {
    std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
    int32_t cuts = 0, last = -1;
    for (const Span& span : spans_) {
      *edges++ = span.begin;
      *edges++ = span.end;
      for (const int32_t place : {span.begin, span.end}) {
        if (place == length_ || units_.begin(unit_of_[place]) == place || unit_of_[place] == last) continue;
        last = unit_of_[place];
        ++cuts;
      }
    }
    return cuts;
  }

 private:
  struct Span {
    int32_t begin, end;
  };
  static constexpr int32_t kFree = -1, kBarrier = -2;
  static constexpr int kFailures = 8;

  uint64_t next() { return number_at(key_, place_++); }

  // One unit (or clause) for each span, none beside another.
  void anchor(int64_t spans) {
    std::array<int64_t, kUnitTypes> weights = rules_->weights;
    weights[kWord] = std::max<int64_t>(weights[kWord], 1);
    pool_.fill(units_, weights);
    while (static_cast<int64_t>(spans_.size()) < spans && !pool_.empty()) {
      const auto [type, found] = pool_.draw(next());
      if (type == kClause) {
        const Units::Clause clause = units_.clauses[found];
        open(units_.begin(clause.first), units_.begin(clause.last), type, spans);
      } else if (open(units_.begin(found), units_.end(found), type, spans) && type == kConnective) {
        const int32_t partner = units_.partner(found);
        if (partner >= 0 && next() < rules_->pairs) open(units_.begin(partner), units_.end(partner), type, spans);
      }
    }
  }

  bool open(int32_t begin, int32_t end, UnitType type, int64_t spans) {
    const int64_t others = spans - static_cast<int64_t>(spans_.size()) - 1;
    if (others < 0 || end - begin > left_ - others || used_[type] + end - begin > caps_[type]) return false;
    for (int32_t place = std::max(begin - 1, 0); place < std::min(end + 1, length_); ++place) {
      if (owner_[place] >= 0) return false;
    }
    spans_.push_back({begin, begin});
    used_[type] += end - begin;
    extend(static_cast<int32_t>(spans_.size()) - 1, end);
    return true;
  }

  void grow() {
    for (int failures = 0; left_ > 0 && failures < kFailures; ++failures) {
      const uint64_t number = next();
      const int32_t span = taken_[below_64(number, taken_.size())];
      const bool right = number & 1;
      if (whole(span, right) || whole(span, !right)) failures = -1;
    }
    sweep([&](int32_t span, bool right) { return whole(span, right); });
    sweep([&](int32_t span, bool right) { return single(span, right); });
  }

  // Try every span and side again and again, until nothing changes.
  template <typename Step>
  void sweep(Step step) {
    if (left_ == 0) return;
    const auto count = static_cast<int32_t>(spans_.size());
    const auto start = static_cast<int32_t>(below_64(next(), count));
    for (bool moved = true; moved && left_ > 0;) {
      moved = false;
      for (int32_t k = 0; k < count && left_ > 0; ++k) {
        const int32_t span = (start + k) % count;
        if (step(span, true) || (left_ > 0 && step(span, false))) moved = true;
      }
    }
  }

  // Add the unit to the right or left; no span may come to touch another.
  bool whole(int32_t span, bool right) {
    const int32_t place = right ? spans_[span].end : spans_[span].begin - 1;
    if (!is_free(place)) return false;
    const int32_t unit = unit_of_[place];
    const int32_t to = right ? units_.end(unit) : units_.begin(unit);
    const int64_t size = units_.length(unit);
    const uint8_t type = units_.types[unit];
    if ((right ? to - place : place - to + 1) != size) return false;
    if (used_[type] + size > caps_[type] || !fits(to, right, size)) return false;
    used_[type] += size;
    extend(span, to);
    return true;
  }

  bool single(int32_t span, bool right) {
    const int32_t place = right ? spans_[span].end : spans_[span].begin - 1;
    const int32_t to = right ? place + 1 : place;
    if (!is_free(place) || !fits(to, right, 1)) return false;
    extend(span, to);
    return true;
  }

  bool is_free(int32_t place) const { return place >= 0 && place < length_ && owner_[place] == kFree; }

  bool fits(int32_t to, bool right, int64_t size) const {
    const int32_t beyond = right ? to : to - 1;
    return size <= left_ && (beyond < 0 || beyond >= length_ || owner_[beyond] < 0);
  }

  // Move an edge of the span outwards.
  void extend(int32_t span, int32_t to) {
    int32_t& edge = to > spans_[span].begin ? spans_[span].end : spans_[span].begin;
    for (int32_t place = std::min(edge, to); place < std::max(edge, to); ++place) {
      owner_[place] = span;
      taken_.push_back(span);
      --left_;
    }
    edge = to;
  }

  const UnitRules* rules_ = nullptr;
  int32_t length_ = 0;
  int64_t left_ = 0;
  uint64_t key_ = 0, place_ = 0;
  Units units_;
  Pool pool_;
  std::vector<int32_t> owner_, unit_of_, taken_;
  std::vector<Span> spans_;
  std::array<int64_t, kUnitTypes> used_{}, caps_{};
};

}  // namespace

void unit_spans(const Windows& windows, int64_t noise, int64_t spans, const UnitRules& rules, int32_t* edges,
                int32_t* cuts) {
  Spans found;
  for (size_t row = 0; row < windows.batch; ++row) {
    int32_t* out = edges + row * spans * 2;
    if (found.find(windows, row, noise, spans, rules)) {
      cuts[row] = found.write(out);
    } else {
      std::fill_n(out, spans * 2, -1);
      cuts[row] = 0;
    }
  }
}

}  // namespace taixue
