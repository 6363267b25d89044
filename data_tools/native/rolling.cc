#include "rolling.h"

#include "hash128.h"
#include "texts.h"

namespace taixue {

// Independent of each other, unlike the steps of a hash that rolls: so vector units can do several at a time.
TAIXUE_CLONES
static void join(const uint64_t* __restrict left, const uint64_t* __restrict right, uint64_t power, size_t count,
                 uint64_t* __restrict out) {
  for (size_t k = 0; k < count; ++k) out[k] = left[k] * power + right[k];
}

TAIXUE_CLONES
static void append(const uint64_t* __restrict left, const uint32_t* __restrict points, size_t count,
                   uint64_t* __restrict out) {
  for (size_t k = 0; k < count; ++k) out[k] = left[k] * kMultiplier + points[k];
}

// From hashes of m-grams those of 2 m-grams, and of 2 m + 1 where n has a bit: n's binary digits from the top.
const uint64_t* Rolling::run(const uint32_t* points, size_t count) {
  if (hashes_.size() < count) {
    hashes_.resize(count);
    other_.resize(count);
  }
  for (size_t k = 0; k < count; ++k) hashes_[k] = points[k];
  size_t length = 1, top = 1;
  uint64_t power = kMultiplier;  // kMultiplier^length
  while (top <= ngram_ / 2) top *= 2;
  for (size_t bit = top / 2; bit > 0; bit /= 2) {
    join(hashes_.data(), hashes_.data() + length, power, count - 2 * length + 1, other_.data());
    hashes_.swap(other_);
    length *= 2;
    power *= power;
    if (ngram_ & bit) {
      append(hashes_.data(), points + length, count - length, other_.data());
      hashes_.swap(other_);
      ++length;
      power *= kMultiplier;
    }
  }
  return hashes_.data();
}

}  // namespace taixue
