#include "ngrams.h"

#include <algorithm>

#include "hash128.h"
#include "utf8.h"

namespace taixue {
namespace {

constexpr uint64_t kPlace = 0x632BE59BD9B4E019;  // between the characters of a word
constexpr int kLeastBits = 16, kBitsPerAnchor = 16;

}  // namespace

// The units of one text.
struct Ngrams::Units {
  std::vector<uint64_t> values;  // a single's character, a word's hash
  std::vector<uint8_t> are_words;
  std::vector<uint32_t> begins, ends;

  size_t size() const { return values.size(); }
  void clear() {
    values.clear();
    are_words.clear();
    begins.clear();
    ends.clear();
  }
  void add(uint64_t value, bool is_word, size_t begin, size_t end) {
    values.push_back(value);
    are_words.push_back(is_word);
    begins.push_back(static_cast<uint32_t>(begin));
    ends.push_back(static_cast<uint32_t>(end));
  }
  uint64_t hash(size_t k) const { return are_words[k] ? values[k] : mix(values[k]); }
};

// Of the n-grams that begin at n - a + 1 = `stride_` places in a row, with a = `anchor_` units, exactly one part of a
// units begins at a multiple of stride_ and lies in all of them. So a text without any such part that also stands in
// the texts looked for has no n-gram of theirs, and one look per stride_ units finds that out.
Ngrams::Ngrams(std::vector<uint8_t> kinds, std::vector<uint32_t> folded, int ngram)
    : kinds_(std::move(kinds)),
      folded_(std::move(folded)),
      ngram_(static_cast<size_t>(ngram)),
      anchor_((ngram_ + 1) / 2),
      stride_(ngram_ - anchor_ + 1),
      powers_(anchor_),
      slots_(size_t{1} << kLeastBits, Slot{0, kFree}),
      filter_(size_t{1} << (kLeastBits - 6)),
      filter_shift_(64 - kLeastBits) {
  for (size_t k = 0; k < ngram_; ++k) leaving_ *= kMultiplier;
  uint64_t power = kMultiplier;
  for (uint64_t& one : powers_) {
    one = power;
    power = power * kMultiplier + 2;
  }
}

void Ngrams::split(const Text& text, Units& units) const {
  units.clear();
  size_t place = 0;
  for (const uint8_t* p = text.data; p < text.end();) {
    uint32_t point;
    p = decode(p, point);
    uint8_t kind = kinds_[point];
    if (kind == kSingle) units.add(point, false, place, place + 1);
    ++place;
    if (kind != kWordPart) continue;
    const size_t begin = place - 1;
    uint64_t hash = 0, within = 0;
    while (true) {
      hash += mix(folded_[point] + within);
      within += kPlace;
      if (p == text.end()) break;
      const uint8_t* next = decode(p, point);
      if (kinds_[point] != kWordPart) break;
      p = next;
      ++place;
    }
    units.add(hash, true, begin, place);
  }
}

uint64_t Ngrams::anchor(const Units& units, size_t first) const {
  uint64_t hash = 0;
  for (size_t k = 0; k < anchor_; ++k) hash += units.values[first + k] * powers_[k];
  return (hash ^ hash >> 32) * kMultiplier;
}

// visit(hash, first unit) for the n-grams that begin at the units [first, last), in order, until it says true.
template <typename Visit>
bool Ngrams::walk(const Units& units, size_t first, size_t last, Visit visit) const {
  uint64_t rolled = 0;
  for (size_t k = 0; k < ngram_; ++k) rolled = rolled * kMultiplier + units.hash(first + k);
  for (size_t begin = first;; ++begin) {
    if (visit(mix(rolled), begin)) return true;
    if (begin + 1 >= last) return false;
    rolled = rolled * kMultiplier + units.hash(begin + ngram_) - leaving_ * units.hash(begin);
  }
}

const Ngrams::Slot& Ngrams::slot(uint64_t hash) const {
  size_t at = hash & (slots_.size() - 1);
  while (slots_[at].owner != kFree && slots_[at].hash != hash) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

void Ngrams::insert(uint64_t hash, int32_t owner) {
  Slot& found = const_cast<Slot&>(slot(hash));
  if (found.owner != kFree) return;
  found = {hash, owner};
  if (2 * ++count_ < slots_.size()) return;
  std::vector<Slot> old(2 * slots_.size(), Slot{0, kFree});
  old.swap(slots_);
  for (const Slot& one : old) {
    if (one.owner != kFree) const_cast<Slot&>(slot(one.hash)) = one;
  }
}

void Ngrams::filter_anchor(uint64_t hash) {
  const uint64_t bit = hash >> filter_shift_;
  filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
}

void Ngrams::add(const Texts& texts, int32_t owner) {
  Units units;
  for (const Text& text : texts) {
    split(text, units);
    if (units.size() < ngram_) continue;
    walk(units, 0, units.size() - ngram_ + 1, [&](uint64_t hash, size_t) {
      insert(hash, owner);
      return false;
    });
    for (size_t k = 0; k + anchor_ <= units.size(); ++k) {
      anchors_.push_back(anchor(units, k));
      filter_anchor(anchors_.back());
    }
    if (anchors_.size() * kBitsPerAnchor > filter_.size() << 6) grow_filter();
  }
}

void Ngrams::grow_filter() {
  std::sort(anchors_.begin(), anchors_.end());
  anchors_.erase(std::unique(anchors_.begin(), anchors_.end()), anchors_.end());
  size_t words = filter_.size();
  // Twice what is needed now, or most of the anchors would be sorted again after the next text.
  while (words << 6 < 2 * kBitsPerAnchor * anchors_.size()) {
    words *= 2;
    --filter_shift_;
  }
  filter_.assign(words, 0);
  for (const uint64_t hash : anchors_) filter_anchor(hash);
}

std::vector<std::array<int64_t, 4>> Ngrams::find(const Texts& texts) const {
  std::vector<std::array<int64_t, 4>> out;
  Units units;
  for (size_t k = 0; k < texts.size(); ++k) {
    split(texts[k], units);
    if (units.size() < ngram_) continue;
    const auto visit = [&](uint64_t hash, size_t first) {
      const int32_t owner = slot(hash).owner;
      if (owner == kFree) return false;
      out.push_back({static_cast<int64_t>(k), units.begins[first], units.ends[first + ngram_ - 1], owner});
      return true;
    };
    for (size_t at = 0; at + anchor_ <= units.size(); at += stride_) {
      const uint64_t bit = anchor(units, at) >> filter_shift_;
      if ((filter_[bit >> 6] >> (bit & 63) & 1) == 0) continue;
      const size_t first = at < stride_ - 1 ? 0 : at - (stride_ - 1);
      const size_t last = std::min(at + 1, units.size() - ngram_ + 1);
      if (first < last && walk(units, first, last, visit)) break;
    }
  }
  return out;
}

}  // namespace taixue
