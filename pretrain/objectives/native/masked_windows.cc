// From chosen tokens to BERT's input. Twin: plain/masked_windows.py.
#include <algorithm>
#include <numeric>

#include "units.h"

namespace taixue {

void lay_out_mlm(const Windows& windows, const int32_t* marks, const MlmLayout& layout, const MlmArrays& out) {
  const auto window = static_cast<int64_t>(windows.length);
  const int64_t length = window + (layout.order_keys ? 3 : 2);
  std::vector<int32_t> corrupted(windows.length);
  for (size_t row = 0; row < windows.batch; ++row) {
    const int32_t* tokens = windows.tokens + row * windows.length;
    const int32_t* chosen = marks + row * windows.length;
    std::copy_n(tokens, window, corrupted.begin());
    for (int64_t place = 0; place < window; ++place) {
      if (chosen[place] == 0) continue;
      const unsigned type = chosen[place] & 7;
      if (type == kRelation) {
        corrupted[place] = layout.mask;
      } else if (layout.replaced) {
        corrupted[place] = layout.replaced[row * windows.length + place];
      } else {
        const uint64_t key = layout.replacement_keys[row], number = number_at(key, place);
        const bool whole = layout.per_unit >> type & 1;
        const uint64_t action = below_32(whole ? number_at(key, (chosen[place] >> 3) - 1) : number, 10);
        if (action < 8) corrupted[place] = layout.mask;
        if (action == 8) corrupted[place] = layout.ordinary[below_32(number >> 32, layout.ordinary.size())];
      }
    }
    int64_t cut = window;
    bool swapped = false;
    if (layout.order_keys) {
      const uint64_t number = number_at(layout.order_keys[row], 0);
      const int64_t quarter = window / 4;
      cut = quarter + static_cast<int64_t>(below_32(number, window - 2 * quarter + 1));
      swapped = below_32(number >> 32, 2) == 1;
    }
    out.swapped[row] = swapped;
    int64_t next = row * length;
    const auto put = [&](int64_t id, int64_t type) {
      out.input_ids[next] = id;
      out.token_type_ids[next] = type;
      out.labels[next] = -100;
      if (out.index) out.index[next] = -1;
      ++next;
    };
    const auto segment = [&](int64_t begin, int64_t end, int64_t type) {
      const int64_t size = end - begin;
      std::copy_n(corrupted.begin() + begin, size, out.input_ids + next);
      std::fill_n(out.token_type_ids + next, size, type);
      for (int64_t k = 0; k < size; ++k) out.labels[next + k] = chosen[begin + k] ? tokens[begin + k] : -100;
      if (out.index) std::iota(out.index + next, out.index + next + size, begin);
      next += size;
      put(layout.sep, type);
    };
    put(layout.cls, 0);
    segment(swapped ? cut : 0, swapped ? window : cut, 0);
    if (layout.order_keys) segment(swapped ? 0 : cut, swapped ? cut : window, 1);
  }
}

}  // namespace taixue
