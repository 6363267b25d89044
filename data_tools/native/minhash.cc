// MinHash of character n-grams, folded into one 64-bit hash per LSH band; plain/hashes.py says how the minima are found.
#include <algorithm>

#include "functions.h"
#include "hash128.h"
#include "rolling.h"
#include "utf8.h"

namespace taixue {
namespace {

// Hashes of the n-grams of word characters (punctuation and white space left out, ASCII letters in lower case).
class Shingles {
 public:
  Shingles(const CharacterTable& table, int ngram)
      : table_(table.data()), ngram_(static_cast<size_t>(ngram)), rolling_(ngram) {}

  // How many there are, at `hashes`.
  size_t of(const Text& text, const uint64_t*& hashes) {
    if (points_.size() < text.size) points_.resize(text.size);
    size_t count = 0;
    for (const uint8_t* p = text.data; p < text.end();) {
      uint32_t point;
      p = decode(p, point);
      points_[count] = point >= 'A' && point <= 'Z' ? point + 32 : point;
      count += table_[point] >> 7;
    }
    static_assert(kWord == 0x80, "the top bit counts");
    if (count >= ngram_) {
      hashes = rolling_.run(points_.data(), count);
      return count - ngram_ + 1;
    }
    // A text shorter than an n-gram is its own only shingle.
    whole_ = 0;
    for (size_t k = 0; k < count; ++k) whole_ = whole_ * kMultiplier + points_[k];
    hashes = &whole_;
    return count > 0;
  }

 private:
  const uint8_t* table_;
  size_t ngram_;
  Rolling rolling_;
  uint64_t whole_ = 0;
  std::vector<uint32_t> points_;
};

TAIXUE_CLONES
void mix_all(const uint64_t* __restrict hashes, size_t count, uint64_t key, uint64_t* __restrict out) {
  for (size_t k = 0; k < count; ++k) out[k] = murmur(hashes[k] + key);
}

// Fast similarity sketching: one minimum per bin.
class Sketcher {
 public:
  Sketcher(size_t bins, const std::vector<uint64_t>& keys) : bins_(bins), keys_(keys.data()), round_(bins) {}

  void run(const uint64_t* hashes, size_t count, uint64_t* smallest) {
    std::fill(smallest, smallest + bins_, kEmpty);
    size_t empty = bins_;
    for (size_t round = 0; empty > 0; ++round) {
      std::fill(round_.begin(), round_.end(), kEmpty);
      for (size_t begin = 0; begin < count; begin += kBlock) {
        const size_t size = std::min(kBlock, count - begin);
        mix_all(hashes + begin, size, keys_[round], mixed_);
        for (size_t k = 0; k < size; ++k) {
          const size_t bin = round < bins_ ? (mixed_[k] >> 32) * bins_ >> 32 : round - bins_;
          round_[bin] = std::min(round_[bin], mixed_[k] & 0xFFFFFFFF);
        }
      }
      empty = 0;
      for (size_t bin = 0; bin < bins_; ++bin) {
        if (smallest[bin] == kEmpty) smallest[bin] = round_[bin];
        empty += smallest[bin] == kEmpty;
      }
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static constexpr size_t kBlock = 512;
  size_t bins_;
  const uint64_t* keys_;
  std::vector<uint64_t> round_;
  uint64_t mixed_[kBlock];
};

uint64_t band_hash(const uint64_t* smallest, size_t rows, uint64_t band) {
  uint64_t value = band;
  for (size_t k = 0; k < rows; ++k) value = murmur(value ^ smallest[k]) + kMultiplier;
  return value == ~uint64_t{0} ? 0 : value;  // all ones mean "no shingle"
}

}  // namespace

void minhash_bands(const Texts& texts, const CharacterTable& table, const MinHash& keys, uint64_t* out) {
  const size_t bins = keys.rounds.size() / 2, bands = static_cast<size_t>(keys.bands), rows = bins / bands;
  std::vector<uint64_t> smallest(bins);
  Shingles shingles(table, keys.ngram);
  Sketcher sketcher(bins, keys.rounds);
  for (const Text& text : texts) {
    const uint64_t* hashes;
    const size_t count = shingles.of(text, hashes);
    if (count > 0) sketcher.run(hashes, count, smallest.data());
    for (size_t band = 0; band < bands; ++band) {
      *out++ = count == 0 ? ~uint64_t{0} : band_hash(&smallest[band * rows], rows, band);
    }
  }
}

}  // namespace taixue
