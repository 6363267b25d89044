#include "minimizers.h"

#include <algorithm>

#include "texts.h"

namespace taixue {
namespace {

TAIXUE_CLONES
void narrow(const uint64_t* __restrict units, size_t count, uint32_t* __restrict out) {
  for (size_t k = 0; k < count; ++k) out[k] = static_cast<uint32_t>(units[k]);
}

TAIXUE_CLONES
void mix(const uint64_t* __restrict hashes, size_t count, uint32_t* __restrict out) {
  for (size_t k = 0; k < count; ++k) {
    const uint32_t hash = static_cast<uint32_t>(hashes[k] >> 32 ^ hashes[k]) * 0x9E3779B1u;
    out[k] = hash ^ hash >> 15;
  }
}

// In place: what is read was not written yet.
TAIXUE_CLONES
void least(uint32_t* values, size_t distance, size_t count) {
  for (size_t k = 0; k < count; ++k) values[k] = std::min(values[k], values[k + distance]);
}

}  // namespace

Minimizers::Minimizers(size_t ngram)
    : part_(std::max<size_t>(ngram / 2, 1)), parts_(ngram - part_ + 1), rolling_(static_cast<int>(part_)) {}

const uint32_t* Minimizers::run(const uint64_t* units, size_t count) {
  if (points_.size() < count) {
    points_.resize(count);
    least_.resize(count);
  }
  narrow(units, count, points_.data());
  size_t left = count - part_ + 1;
  mix(rolling_.run(points_.data(), count), left, least_.data());
  for (size_t width = 1; width < parts_;) {  // least of so many parts, in a row
    const size_t distance = std::min(width, parts_ - width);
    left -= distance;
    least(least_.data(), distance, left);
    width += distance;
  }
  return least_.data();
}

}  // namespace taixue
