#include "ngrams.h"

#include <algorithm>

#include "hash128.h"
#include "utf8.h"

namespace taixue {
namespace {

constexpr uint64_t kPlace = 0x632BE59BD9B4E019;  // between the characters of a word
constexpr int kLeastFilterBits = 20;

struct Unit {
  uint64_t hash;
  int64_t begin;
};

}  // namespace

Ngrams::Ngrams(std::vector<uint8_t> kinds, std::vector<uint32_t> folded, int ngram, std::vector<uint64_t> hashes)
    : kinds_(std::move(kinds)), folded_(std::move(folded)), ngram_(static_cast<size_t>(ngram)), hashes_(std::move(hashes)) {
  for (size_t k = 0; k < ngram_; ++k) leaving_ *= kMultiplier;
  int bits = kLeastFilterBits;
  while ((hashes_.size() << 4) >> bits != 0) ++bits;
  shift_ = 64 - bits;
  filter_.resize(size_t{1} << (bits - 6));
  for (const uint64_t hash : hashes_) {
    const uint64_t bit = hash >> shift_;
    filter_[bit >> 6] |= uint64_t{1} << (bit & 63);
  }
}

// visit(hash, begin, end) for every n-gram, in order.
template <typename Visit>
void Ngrams::walk(const Text& text, Visit visit) const {
  std::vector<Unit> ring(ngram_);
  size_t count = 0;
  uint64_t rolled = 0, unit = 0, within = 0;
  int64_t begin = 0, place = 0;
  bool open = false;
  const auto close = [&](int64_t end) {
    Unit& oldest = ring[count % ngram_];
    rolled = rolled * kMultiplier + unit;
    if (count >= ngram_) rolled -= leaving_ * oldest.hash;
    oldest = {unit, begin};
    ++count;
    open = false;
    if (count >= ngram_) visit(mix(rolled), ring[count % ngram_].begin, end);
  };
  for (const uint8_t* p = text.data; p < text.end(); ++place) {
    uint32_t point;
    p = decode(p, point);
    const uint8_t kind = kinds_[point];
    if (kind != kWordPart) {
      if (open) close(place);
      if (kind == kSeparator) continue;
      unit = mix(point);
      begin = place;
      close(place + 1);
      continue;
    }
    if (!open) {
      open = true;
      unit = within = 0;
      begin = place;
    }
    unit += mix(folded_[point] + within);
    within += kPlace;
  }
  if (open) close(place);
}

bool Ngrams::may_hold(uint64_t hash) const {
  const uint64_t bit = hash >> shift_;
  return filter_[bit >> 6] >> (bit & 63) & 1;
}

std::vector<uint64_t> Ngrams::hashes(const Texts& texts) const {
  std::vector<uint64_t> out;
  for (const Text& text : texts) {
    walk(text, [&](uint64_t hash, int64_t, int64_t) { out.push_back(hash); });
  }
  return out;
}

std::vector<std::array<int64_t, 4>> Ngrams::find(const Texts& texts) const {
  std::vector<std::array<int64_t, 4>> out;
  std::vector<uint64_t> hashes;
  std::vector<std::array<int64_t, 2>> spans;
  for (size_t k = 0; k < texts.size(); ++k) {
    hashes.clear();
    spans.clear();
    walk(texts[k], [&](uint64_t hash, int64_t begin, int64_t end) {
      hashes.push_back(hash);
      spans.push_back({begin, end});
    });
    // On its own, so that the processor has many reads of the filter under way.
    for (size_t j = 0; j < hashes.size(); ++j) {
      if (!may_hold(hashes[j])) continue;
      const auto found = std::lower_bound(hashes_.begin(), hashes_.end(), hashes[j]);
      if (found == hashes_.end() || *found != hashes[j]) continue;
      out.push_back({static_cast<int64_t>(k), spans[j][0], spans[j][1], found - hashes_.begin()});
      break;
    }
  }
  return out;
}

}  // namespace taixue
