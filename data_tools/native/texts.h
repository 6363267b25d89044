// What every function of the extension takes and gives: texts as byte ranges, rows of different lengths.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace taixue {

// A valid UTF-8 text owned by somebody else (a Python object that lives as long as the call).
struct Text {
  const uint8_t* data;
  size_t size;
  const uint8_t* end() const { return data + size; }
};
using Texts = std::vector<Text>;

template <typename Value>
struct Ragged {
  std::vector<Value> values;
  std::vector<int64_t> offsets{0};
  void end_row() { offsets.push_back(static_cast<int64_t>(values.size())); }
};

// One function body compiled for several processors; the loader picks the best one the machine has.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define TAIXUE_CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
#else
#define TAIXUE_CLONES
#endif

}  // namespace taixue
