#include "ngrams.h"

#include <algorithm>
#include <iterator>

#include "hash128.h"

namespace taixue {
namespace {

constexpr size_t kPerGroup = 16, kBitsPerHash = 10, kBitsPerSignature = 9;

// The least number of bits that tells so many apart; at least 6.
int bits_for(size_t count) {
  int bits = 6;
  while (count >> bits != 0) ++bits;
  return bits;
}

void set_bit(std::vector<uint64_t>& bits, uint64_t bit) { bits[bit >> 6] |= uint64_t{1} << (bit & 63); }

// Two bits, for a signature that was mixed.
uint64_t bits_of(uint64_t mixed) { return uint64_t{1} << (mixed >> 16 & 63) | uint64_t{1} << (mixed >> 22 & 63); }

bool has_bit(const std::vector<uint64_t>& bits, uint64_t bit) { return bits[bit >> 6] >> (bit & 63) & 1; }

}  // namespace

// An n-gram is looked for only where its signature is that of a known one. Neighbours share signatures, so those of many
// known n-grams are few, and the filter of them stays in the cache.
Ngrams::Ngrams(Splitter splitter, int ngram) : splitter_(std::move(splitter)), ngram_(static_cast<size_t>(ngram)) {
  for (size_t k = 0; k < ngram_; ++k) leaving_ *= kMultiplier;
}

bool Ngrams::may_be_known(uint32_t signature) const {
  const uint64_t mixed = signature * kMultiplier;
  return (signature_filter_[mixed >> signature_shift_] & bits_of(mixed)) == bits_of(mixed);
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
  Minimizers minimizers(ngram_);
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
    const uint32_t* signatures = minimizers.run(units.values.data(), units.count);
    std::unique_copy(signatures, signatures + (units.count - ngram_ + 1), std::back_inserter(signatures_));
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

  std::sort(signatures_.begin(), signatures_.end());
  signatures_.erase(std::unique(signatures_.begin(), signatures_.end()), signatures_.end());
  const int word_bits = bits_for(kBitsPerSignature * signatures_.size() / 64);
  signature_shift_ = 64 - word_bits;
  signature_filter_.assign(size_t{1} << word_bits, 0);
  for (const uint32_t signature : signatures_) {
    const uint64_t mixed = signature * kMultiplier;
    signature_filter_[mixed >> signature_shift_] |= bits_of(mixed);
  }
  std::vector<uint32_t>().swap(signatures_);

  const int ngram_bits = bits_for(kBitsPerHash * hashes_.size());
  ngram_shift_ = 64 - ngram_bits;
  ngram_filter_.assign(size_t{1} << (ngram_bits - 6), 0);
  for (const uint64_t hash : hashes_) set_bit(ngram_filter_, hash >> ngram_shift_);
}

int32_t Ngrams::owner_of(uint64_t hash) const {
  if (!has_bit(ngram_filter_, hash >> ngram_shift_)) return -1;
  const size_t group = hash >> group_shift_;
  for (size_t k = groups_[group]; k < groups_[group + 1]; ++k) {
    if (hashes_[k] == hash) return owners_[k];
  }
  return -1;
}

// (first unit, last + 1, owner) of the first n-gram; an owner of -1: there is none.
std::array<int64_t, 3> Ngrams::find_ngram(const Units& units, Minimizers& minimizers,
                                          std::vector<uint32_t>& candidates) const {
  std::array<int64_t, 3> out{0, 0, -1};
  if (units.count < ngram_ || hashes_.empty()) return out;
  const auto visit = [&](uint64_t hash, size_t first) {
    const int32_t owner = owner_of(hash);
    if (owner < 0) return false;
    out = {static_cast<int64_t>(first), static_cast<int64_t>(first + ngram_), owner};
    return true;
  };
  // All looks first, without a branch between them, so that the processor has many reads under way.
  const size_t count = units.count - ngram_ + 1;
  const uint32_t* signatures = minimizers.run(units.values.data(), units.count);
  candidates.resize(std::max(candidates.size(), count + 1));
  size_t found = 0;
  for (size_t k = 0; k < count; ++k) {
    candidates[found] = static_cast<uint32_t>(k);
    found += may_be_known(signatures[k]);
  }
  for (size_t c = 0; c < found;) {
    const size_t first = candidates[c];
    size_t last = first;
    for (; c < found && candidates[c] == last; ++c) ++last;
    if (walk(units, first, last, visit)) break;
  }
  return out;
}

std::vector<std::array<int64_t, 4>> Ngrams::find(const Texts& texts) const {
  std::vector<std::array<int64_t, 4>> out;
  Units units;
  Minimizers minimizers(ngram_);
  std::vector<uint32_t> candidates;
  for (size_t k = 0; k < texts.size(); ++k) {
    splitter_.split(texts[k], units);
    std::array<int64_t, 3> found = find_ngram(units, minimizers, candidates);
    if (found[2] < 0) found = short_texts_.find(units);
    if (found[2] < 0) continue;
    const auto first = static_cast<size_t>(found[0]), last = static_cast<size_t>(found[1]) - 1;
    out.push_back({static_cast<int64_t>(k), units.begins[first], units.ends[last], found[2]});
  }
  return out;
}

}  // namespace taixue
