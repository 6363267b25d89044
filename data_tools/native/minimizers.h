// A short signature of every n-gram, which its neighbours mostly share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rolling.h"

namespace taixue {

class Minimizers {
 public:
  explicit Minimizers(size_t ngram);

  // signature k: the least hash of the parts of n-gram k, half as long as it; for the count - n + 1 n-grams (at least
  // one). Valid until the next call.
  const uint32_t* run(const uint64_t* units, size_t count);

 private:
  size_t part_, parts_;  // units of a part, parts of an n-gram
  Rolling rolling_;
  std::vector<uint32_t> points_, least_;
};

}  // namespace taixue
