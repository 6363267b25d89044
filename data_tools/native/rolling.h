// Hashes of all n-grams of a sequence at once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace taixue {

class Rolling {
 public:
  explicit Rolling(int ngram) : ngram_(static_cast<size_t>(ngram)) {}

  // hash k = sum of points[k + j] * kMultiplier^(n - 1 - j) over j < n, for the count - n + 1 n-grams (at least one).
  // Valid until the next call.
  const uint64_t* run(const uint32_t* points, size_t count);

 private:
  size_t ngram_;
  std::vector<uint64_t> hashes_, other_;
};

}  // namespace taixue
