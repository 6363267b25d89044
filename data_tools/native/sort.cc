// Stable order of 64-bit keys: radix sort, eight bits at a time from the lowest.
#include <array>

#include "functions.h"

namespace taixue {

void stable_order(const uint64_t* keys, size_t count, int64_t* order) {
  struct Row {
    uint64_t key;
    int64_t place;
  };
  std::vector<Row> rows(count), other(count);
  std::vector<std::array<size_t, 256>> counts(8);
  for (auto& digit : counts) digit.fill(0);
  for (size_t k = 0; k < count; ++k) {
    rows[k] = {keys[k], static_cast<int64_t>(k)};
    for (size_t digit = 0; digit < 8; ++digit) ++counts[digit][keys[k] >> 8 * digit & 255];
  }
  for (size_t digit = 0; digit < 8; ++digit) {
    size_t total = 0;
    bool is_same = false;
    for (size_t& places : counts[digit]) {
      is_same |= places == count;
      const size_t begin = total;
      total += places;
      places = begin;
    }
    if (is_same) continue;
    for (const Row& row : rows) other[counts[digit][row.key >> 8 * digit & 255]++] = row;
    rows.swap(other);
  }
  for (size_t k = 0; k < count; ++k) order[k] = rows[k].place;
}

}  // namespace taixue
