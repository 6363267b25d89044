#include "short_texts.h"

#include <algorithm>

#include "hash128.h"

namespace taixue {
namespace {

constexpr size_t kLineSeed = 2, kSeed = 3;                                      // units of seeds
constexpr size_t kLine = 3, kEdited = 4, kClause = 6, kContained = 8, kTwoEdits = 20;  // least units of a text
constexpr size_t kLineLetters = 6;  // least letters of a line that is shorter than kLine
constexpr size_t kNone = SIZE_MAX;

uint64_t hash_of(const uint64_t* values, size_t size) {
  uint64_t hash = size;
  for (size_t k = 0; k < size; ++k) hash = hash * kMultiplier + values[k];
  return (hash ^ hash >> 32) * kMultiplier;
}

size_t seed_of(size_t size) { return size < kClause ? kLineSeed : kSeed; }

size_t edits_of(size_t size) { return size < kEdited ? 0 : size < kTwoEdits ? 1 : 2; }

// Whether so many units, changed, left out or put in, make one of the other.
bool are_near(const uint64_t* a, const uint64_t* a_end, const uint64_t* b, const uint64_t* b_end, size_t edits) {
  while (a < a_end && b < b_end && *a == *b) ++a, ++b;
  while (a < a_end && b < b_end && a_end[-1] == b_end[-1]) --a_end, --b_end;
  if (a == a_end) return static_cast<size_t>(b_end - b) <= edits;
  if (b == b_end) return static_cast<size_t>(a_end - a) <= edits;
  if (edits == 0) return false;
  return are_near(a + 1, a_end, b + 1, b_end, edits - 1) || are_near(a + 1, a_end, b, b_end, edits - 1) ||
         are_near(a, a_end, b + 1, b_end, edits - 1);
}

}  // namespace

void ShortTexts::add(const Units& units, int32_t owner) {
  const uint64_t* values = units.values.data();
  const auto text = static_cast<uint32_t>(owners_.size());
  size_t letters = 0;
  for (size_t k = 0; k < units.count; ++k) letters += units.ends[k] - units.begins[k];
  const uint8_t is_line = letters >= kLineLetters;
  // One that was added before is found before this one.
  const uint64_t hash = hash_of(values, units.count);
  for (auto [known, end] = known_.equal_range(hash); known != end; ++known) {
    const uint32_t other = known->second;
    const bool is_equal = size_of(other) == units.count && are_lines_[other] == is_line;
    if (is_equal && std::equal(values, values + units.count, &values_[offsets_[other]])) return;
  }
  known_.emplace(hash, text);
  if (units.count < kLine) {
    wholes_.seeds.push_back({hash, text});
  } else {
    const size_t seed = seed_of(units.count);
    begins_.seeds.push_back({hash_of(values, seed), text});
    ends_.seeds.push_back({hash_of(values + units.count - seed, seed), text});
  }
  values_.insert(values_.end(), values, values + units.count);
  offsets_.push_back(values_.size());
  owners_.push_back(owner);
  are_lines_.push_back(is_line);
}

void ShortTexts::Seeds::finish() {
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.hash != b.hash ? a.hash < b.hash : a.text < b.text; });
  int bits = 1;
  while (seeds.size() >> bits != 0) ++bits;
  shift = 64 - bits;
  groups.assign((size_t{1} << bits) + 1, 0);
  for (const Seed& seed : seeds) ++groups[(seed.hash >> shift) + 1];
  for (size_t k = 1; k < groups.size(); ++k) groups[k] += groups[k - 1];
}

void ShortTexts::finish() {
  known_.clear();
  int bits = 6;
  while ((begins_.seeds.size() + ends_.seeds.size() + wholes_.seeds.size()) * 16 >> bits != 0) ++bits;
  filter_shift_ = 64 - bits;
  filter_.assign(size_t{1} << (bits - 6), 0);
  for (Seeds* seeds : {&begins_, &ends_, &wholes_}) {
    seeds->finish();
    for (const Seed& seed : seeds->seeds) {
      const uint64_t bit = seed.hash >> filter_shift_;
      filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
    }
  }
}

// visit(text) for the texts with this seed, in order, until it says true.
template <typename Visit>
bool ShortTexts::visit(const Seeds& seeds, uint64_t hash, Visit visit) const {
  const uint64_t bit = hash >> filter_shift_;
  if (!(filter_[bit >> 6] >> (bit & 63) & 1)) return false;
  const size_t group = hash >> seeds.shift;
  for (size_t k = seeds.groups[group]; k < seeds.groups[group + 1]; ++k) {
    if (seeds.seeds[k].hash == hash && visit(seeds.seeds[k].text)) return true;
  }
  return false;
}

// Whether the text is these units, which have at least one end at an edge.
bool ShortTexts::is_found(const Units& units, size_t begin, size_t end, uint32_t text) const {
  const size_t size = size_of(text);
  const uint64_t *values = units.values.data(), *own = values_.data() + offsets_[text];
  const bool is_clause = units.is_edge(begin) && units.is_edge(end);
  if (!is_clause && size < kContained) return false;
  if (end - begin == size && std::equal(own, own + size, values + begin)) {
    return size >= kClause || (units.is_line(begin) && units.is_line(end));
  }
  if (!is_clause || (size < kContained && !(units.is_line(begin) && units.is_line(end)))) return false;
  return are_near(values + begin, values + end, own, own + size, edits_of(size));
}

// End of the text that begins at this edge; kNone: it does not.
size_t ShortTexts::end_of(const Units& units, size_t begin, uint32_t text) const {
  const size_t size = size_of(text), edits = edits_of(size);
  if (begin + size <= units.count && is_found(units, begin, begin + size, text)) return begin + size;
  for (size_t end = begin + size - edits; end <= std::min(begin + size + edits, units.count); ++end) {
    if (units.is_edge(end) && is_found(units, begin, end, text)) return end;
  }
  return kNone;
}

// The same from its end.
size_t ShortTexts::begin_of(const Units& units, size_t end, uint32_t text) const {
  const size_t size = size_of(text), edits = edits_of(size);
  if (size <= end && is_found(units, end - size, end, text)) return end - size;
  for (size_t length = size - edits; length <= std::min(size + edits, end); ++length) {
    if (units.is_edge(end - length) && is_found(units, end - length, end, text)) return end - length;
  }
  return kNone;
}

std::array<int64_t, 3> ShortTexts::find(const Units& units) const {
  const uint64_t* values = units.values.data();
  std::array<int64_t, 3> found{0, 0, -1};
  const auto take = [&](size_t begin, size_t end, uint32_t text) {
    if (begin == kNone || end == kNone) return false;
    found = {static_cast<int64_t>(begin), static_cast<int64_t>(end), owners_[text]};
    return true;
  };
  const auto whole = [&](size_t begin, size_t end) {
    visit(wholes_, hash_of(values + begin, end - begin), [&](uint32_t text) {
      const bool is_whole = end - begin == units.count || are_lines_[text];
      return is_whole && size_of(text) == end - begin &&
             std::equal(values + begin, values + end, &values_[offsets_[text]]) && take(begin, end, text);
    });
  };
  if (units.count > 0 && units.count < kLine) whole(0, units.count);
  const auto look = [&](const std::vector<uint32_t>& edges, size_t seed) {
    for (size_t k = 0; k < edges.size() && found[2] < 0; ++k) {
      const size_t edge = edges[k];
      if (edge + seed <= units.count) {
        const bool is_begin = visit(begins_, hash_of(values + edge, seed), [&](uint32_t text) {
          return seed_of(size_of(text)) == seed && take(edge, end_of(units, edge, text), text);
        });
        if (is_begin) return;
      }
      if (edge >= seed) {
        visit(ends_, hash_of(values + edge - seed, seed), [&](uint32_t text) {
          return seed_of(size_of(text)) == seed && take(begin_of(units, edge, text), edge, text);
        });
      }
    }
  };
  look(units.edges, kSeed);
  look(units.lines, kLineSeed);
  for (size_t k = 0; k + 1 < units.lines.size() && found[2] < 0; ++k) {
    if (units.lines[k + 1] - units.lines[k] < kLine) whole(units.lines[k], units.lines[k + 1]);
  }
  return found;
}

}  // namespace taixue
