// MinHash of character n-grams, folded into one 64-bit hash per LSH band.
#include <algorithm>

#include "functions.h"
#include "hash128.h"
#include "utf8.h"

namespace taixue {
namespace {

// Permutations done at once: their multipliers, increments and minima stay in vector registers while all shingles
// pass by.
constexpr size_t kBlock = 16;

// 32-bit hashes of the n-grams of word characters (punctuation and white space left out, ASCII letters in lower case).
class Shingles {
 public:
  Shingles(const CharacterTable& table, int ngram) : table_(table.data()), ngram_(static_cast<size_t>(ngram)) {
    for (int k = 0; k < ngram; ++k) leaving_ *= kMultiplier;
  }

  const std::vector<uint32_t>& of(const Text& text) {
    points_.clear();
    for (const uint8_t* p = text.data; p < text.end();) {
      uint32_t point;
      p = decode(p, point);
      if (table_[point] & kWord) points_.push_back(point >= 'A' && point <= 'Z' ? point + 32 : point);
    }
    hashes_.clear();
    uint64_t hash = 0;
    for (size_t k = 0; k < points_.size(); ++k) {
      hash = hash * kMultiplier + points_[k];
      if (k >= ngram_) hash -= leaving_ * points_[k - ngram_];
      if (k + 1 >= ngram_) hashes_.push_back(static_cast<uint32_t>(mix(hash) >> 32));
    }
    // A text shorter than an n-gram is its own only shingle.
    if (hashes_.empty() && !points_.empty()) hashes_.push_back(static_cast<uint32_t>(mix(hash) >> 32));
    return hashes_;
  }

 private:
  const uint8_t* table_;
  size_t ngram_;
  uint64_t leaving_ = 1;
  std::vector<uint32_t> points_, hashes_;
};

uint64_t band_hash(const uint32_t* smallest, size_t rows, uint64_t band) {
  uint64_t value = band;
  for (size_t k = 0; k < rows; ++k) value = mix(value ^ smallest[k]) + kMultiplier;
  return value == ~uint64_t{0} ? 0 : value;  // all ones mean "no shingle"
}

}  // namespace

TAIXUE_CLONES
void smallest_images(const uint32_t* hashes, size_t count, const uint32_t* multipliers, const uint32_t* increments,
                     uint32_t* smallest) {
  uint32_t a[kBlock], b[kBlock], least[kBlock];
  for (size_t k = 0; k < kBlock; ++k) {
    a[k] = multipliers[k];
    b[k] = increments[k];
    least[k] = ~0u;
  }
  for (size_t j = 0; j < count; ++j) {
    const uint32_t hash = hashes[j];
    for (size_t k = 0; k < kBlock; ++k) {
      const uint32_t image = hash * a[k] + b[k];
      least[k] = image < least[k] ? image : least[k];
    }
  }
  for (size_t k = 0; k < kBlock; ++k) smallest[k] = least[k];
}

void minhash_bands(const Texts& texts, const CharacterTable& table, const MinHash& keys, uint64_t* out) {
  const size_t permutations = keys.multipliers.size(), bands = static_cast<size_t>(keys.bands);
  const size_t padded = (permutations + kBlock - 1) / kBlock * kBlock;
  std::vector<uint32_t> multipliers(keys.multipliers), increments(keys.increments), smallest(padded);
  multipliers.resize(padded);
  increments.resize(padded);
  Shingles shingles(table, keys.ngram);
  for (const Text& text : texts) {
    const std::vector<uint32_t>& hashes = shingles.of(text);
    for (size_t k = 0; k < padded; k += kBlock) {
      smallest_images(hashes.data(), hashes.size(), &multipliers[k], &increments[k], &smallest[k]);
    }
    for (size_t band = 0; band < bands; ++band) {
      const size_t rows = permutations / bands;
      *out++ = hashes.empty() ? ~uint64_t{0} : band_hash(&smallest[band * rows], rows, band);
    }
  }
}

}  // namespace taixue
