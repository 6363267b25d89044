#include "ngrams.h"

#include <algorithm>

#include "hash128.h"

namespace taixue {
namespace {

constexpr size_t kPerGroup = 16, kBitsPerHash = 10;

// The least number of bits that tells so many apart; at least 6.
int bits_for(size_t count) {
  int bits = 6;
  while (count >> bits != 0) ++bits;
  return bits;
}

void set_bit(std::vector<uint64_t>& bits, uint64_t bit) { bits[bit >> 6] |= uint64_t{1} << (bit & 63); }

bool has_bit(const std::vector<uint64_t>& bits, uint64_t bit) { return bits[bit >> 6] >> (bit & 63) & 1; }

}  // namespace

// Of the n-grams that begin at n - a + 1 = `stride_` places in a row, with a = `anchor_` units, exactly one part of a
// units begins at a multiple of stride_ and lies in all of them. So a text without any such part that also stands in
// the texts looked for has no n-gram of theirs, and one look per stride_ units finds that out.
Ngrams::Ngrams(Splitter splitter, int ngram)
    : splitter_(std::move(splitter)),
      ngram_(static_cast<size_t>(ngram)),
      anchor_((ngram_ + 1) / 2),
      stride_(ngram_ - anchor_ + 1),
      powers_(anchor_) {
  for (size_t k = 0; k < ngram_; ++k) leaving_ *= kMultiplier;
  uint64_t power = kMultiplier;
  for (uint64_t& one : powers_) {
    one = power;
    power = power * kMultiplier + 2;
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
    if (visit(murmur(rolled), begin)) return true;
    if (begin + 1 >= last) return false;
    rolled = rolled * kMultiplier + units.hash(begin + ngram_) - leaving_ * units.hash(begin);
  }
}

std::vector<int64_t> Ngrams::add(const Texts& texts, int32_t owner) {
  Units units;
  std::vector<int64_t> counts;
  for (const Text& text : texts) {
    splitter_.split(text, units);
    counts.push_back(static_cast<int64_t>(units.count));
    if (units.count > 0 && units.count < 2 * ngram_) short_texts_.add(units, owner);
    if (units.count < ngram_) continue;
    walk(units, 0, units.count - ngram_ + 1, [&](uint64_t hash, size_t) {
      hashes_.push_back(hash);
      owners_.push_back(owner);
      return false;
    });
    for (size_t k = 0; k + anchor_ <= units.count; ++k) anchors_.push_back(anchor(units, k));
  }
  return counts;
}

void Ngrams::finish() {
  short_texts_.finish();
  const int bits = bits_for(hashes_.size() / kPerGroup);
  group_shift_ = 64 - bits;
  groups_.assign((size_t{1} << bits) + 2, 0);
  for (const uint64_t hash : hashes_) ++groups_[(hash >> group_shift_) + 2];
  for (size_t k = 2; k < groups_.size(); ++k) groups_[k] += groups_[k - 1];
  std::vector<uint64_t> hashes(hashes_.size());
  std::vector<int32_t> owners(owners_.size());
  for (size_t k = 0; k < hashes_.size(); ++k) {
    const size_t place = groups_[(hashes_[k] >> group_shift_) + 1]++;
    hashes[place] = hashes_[k];
    owners[place] = owners_[k];
  }
  hashes_.swap(hashes);
  owners_.swap(owners);

  const int filter_bits = bits_for(kBitsPerHash * anchors_.size());
  filter_shift_ = 64 - filter_bits;
  filter_.assign(size_t{1} << (filter_bits - 6), 0);
  for (const uint64_t hash : anchors_) set_bit(filter_, hash >> filter_shift_);
  std::vector<uint64_t>().swap(anchors_);
  whole_filter_.assign(filter_.size(), 0);
  for (const uint64_t hash : hashes_) set_bit(whole_filter_, hash >> filter_shift_);
}

int32_t Ngrams::owner_of(uint64_t hash) const {
  if (!has_bit(whole_filter_, hash >> filter_shift_)) return -1;
  const size_t group = hash >> group_shift_;
  for (size_t k = groups_[group]; k < groups_[group + 1]; ++k) {
    if (hashes_[k] == hash) return owners_[k];
  }
  return -1;
}

// (first unit, last + 1, owner) of the first n-gram; an owner of -1: there is none.
std::array<int64_t, 3> Ngrams::find_ngram(const Units& units, std::vector<uint32_t>& candidates) const {
  std::array<int64_t, 3> out{0, 0, -1};
  if (units.count < ngram_ || hashes_.empty()) return out;
  const auto visit = [&](uint64_t hash, size_t first) {
    const int32_t owner = owner_of(hash);
    if (owner < 0) return false;
    out = {static_cast<int64_t>(first), static_cast<int64_t>(first + ngram_), owner};
    return true;
  };
  // All looks first, without a branch between them, so that the processor has many reads under way.
  candidates.resize(units.count / stride_ + 1);
  size_t found = 0;
  for (size_t at = 0; at + anchor_ <= units.count; at += stride_) {
    candidates[found] = static_cast<uint32_t>(at);
    found += has_bit(filter_, anchor(units, at) >> filter_shift_);
  }
  for (size_t c = 0; c < found; ++c) {
    const size_t at = candidates[c];
    const size_t first = at < stride_ - 1 ? 0 : at - (stride_ - 1);
    const size_t last = std::min(at + 1, units.count - ngram_ + 1);
    if (first < last && walk(units, first, last, visit)) break;
  }
  return out;
}

std::vector<std::array<int64_t, 4>> Ngrams::find(const Texts& texts) const {
  std::vector<std::array<int64_t, 4>> out;
  Units units;
  std::vector<uint32_t> candidates;
  for (size_t k = 0; k < texts.size(); ++k) {
    splitter_.split(texts[k], units);
    std::array<int64_t, 3> found = find_ngram(units, candidates);
    if (found[2] < 0) found = short_texts_.find(units);
    if (found[2] < 0) continue;
    const auto first = static_cast<size_t>(found[0]), last = static_cast<size_t>(found[1]) - 1;
    out.push_back({static_cast<int64_t>(k), units.begins[first], units.ends[last], found[2]});
  }
  return out;
}

}  // namespace taixue
