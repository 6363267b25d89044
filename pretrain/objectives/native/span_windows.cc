// From drawn spans to T5's input and target. Twin: plain/span_windows.py.
#include "span_windows.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "taixue/base/rng.h"

namespace taixue {

bool fits(const Stretches& stretches, const SpanLayout& layout, const SpanArrays& out) {
  const int64_t marks = layout.sentinels ? static_cast<int64_t>(stretches.spans) : 0;
  const auto ends_within = [](int64_t begin, int64_t length, size_t size) {
    return begin >= 0 && length >= 0 && begin <= static_cast<int64_t>(size) && length <= static_cast<int64_t>(size) - begin;
  };
  const auto most = static_cast<int64_t>(stretches.width);
  for (size_t row = 0; row < stretches.batch; ++row) {
    int64_t noise = 0, text = stretches.tail[row];
    bool sound = text >= 0 && text <= most;
    for (size_t span = row * stretches.spans; span < (row + 1) * stretches.spans && sound; ++span) {
      sound = stretches.noise[span] >= 1 && stretches.noise[span] <= most && stretches.text[span] >= 0 &&
              stretches.text[span] <= most;
      noise += stretches.noise[span], text += stretches.text[span];
    }
    const int64_t* begins = stretches.begins + 3 * row;
    if (!sound || noise + marks == 0 || text + marks == 0 || !ends_within(begins[0], noise + text, stretches.width) ||
        !ends_within(begins[1], text + marks + 1 + (layout.mode >= 0), out.source) ||
        !ends_within(begins[2], noise + marks + 1, out.target)) {
      return false;
    }
  }
  return true;
}

void lay_out_spans(const Stretches& stretches, const SpanLayout& layout, const SpanArrays& out) {
  for (size_t row = 0; row < stretches.batch; ++row) {
    const int32_t* tokens = stretches.tokens + row * stretches.width;
    const int64_t* documents = layout.documents ? layout.documents + row * stretches.width : nullptr;
    const int64_t shift = layout.shift ? layout.shift[row] : 0;
    int64_t place = stretches.begins[3 * row];
    size_t next = row * out.source + stretches.begins[3 * row + 1];
    size_t target = row * out.target + stretches.begins[3 * row + 2];
    const size_t first = next, first_target = target;

    const auto copy = [&](int64_t* to, int64_t* segments, int64_t length) {
      std::copy_n(tokens + place, length, to);
      if (!segments) return;
      if (documents) {
        for (int64_t k = 0; k < length; ++k) segments[k] = documents[place + k] + shift;
      } else {
        std::fill_n(segments, length, shift);
      }
    };
    const auto at = [](int64_t* array, size_t offset) { return array ? array + offset : nullptr; };
    const auto copy_text = [&](int64_t length) {
      copy(out.input_ids + next, at(out.segments, next), length);
      if (out.index) std::iota(out.index + next, out.index + next + length, place);
      place += length;
      next += length;
    };
    const auto put = [&](int64_t id, int64_t segment) {
      out.input_ids[next] = id;
      if (out.segments) out.segments[next] = segment;
      if (out.index) out.index[next] = -1;
      ++next;
    };

    if (layout.mode >= 0) put(layout.mode, 0);
    for (size_t k = 0; k < stretches.spans; ++k) {
      const size_t span = row * stretches.spans + k;
      copy_text(stretches.text[span]);
      if (layout.sentinels) {
        const int64_t segment = documents ? documents[place] + shift : shift;
        put(layout.sentinels[k], segment);
        out.labels[target] = layout.sentinels[k];
        if (out.decoder_segments) out.decoder_segments[target] = segment;
        ++target;
      }
      const int64_t length = stretches.noise[span];
      copy(out.labels + target, at(out.decoder_segments, target), length);
      place += length;
      target += length;
    }
    copy_text(stretches.tail[row]);
    put(layout.eos, out.segments ? out.segments[next - 1] : 0);
    if (layout.mode >= 0 && out.segments) out.segments[first] = out.segments[first + 1];
    out.labels[target] = layout.eos;
    if (out.decoder_segments) out.decoder_segments[target] = out.decoder_segments[target - 1];

    const int64_t* segments = documents ? out.decoder_segments : nullptr;
    out.decoder_input_ids[first_target] = layout.start;
    std::copy(out.labels + first_target, out.labels + target, out.decoder_input_ids + first_target + 1);
    if (!segments) continue;
    for (size_t k = first_target + 1; k <= target; ++k) {
      if (segments[k] != segments[k - 1]) out.decoder_input_ids[k] = layout.start;
    }
  }
}

void compositions(const uint64_t* keys, size_t batch, int64_t total, int64_t parts, int64_t* out) {
  constexpr uint64_t kPlaces = (1u << 20) - 1;
  const auto inner = static_cast<size_t>(total - 1), cuts = static_cast<size_t>(parts - 1);
  std::vector<uint64_t> ranks(inner), smallest(inner);
  for (size_t row = 0; row < batch; ++row, out += parts) {
    uint64_t limit = 0;
    if (cuts > 0) {
      for (size_t place = 0; place < inner; ++place) ranks[place] = (number_at(keys[row], place) & ~kPlaces) | place;
      // Ranks are uniform: the smallest are almost surely among those below a little more than their share.
      const double share = (static_cast<double>(cuts) + 4 * std::sqrt(static_cast<double>(cuts)) + 4) / static_cast<double>(inner);
      const uint64_t bound = share < 1 ? static_cast<uint64_t>(share * 0x1p64) : ~uint64_t{0};
      size_t count = 0;
      for (const uint64_t rank : ranks) {
        smallest[count] = rank;
        count += rank <= bound;
      }
      if (count < cuts) std::copy(ranks.begin(), ranks.end(), smallest.begin()), count = inner;
      std::nth_element(smallest.begin(), smallest.begin() + (cuts - 1), smallest.begin() + count);
      limit = smallest[cuts - 1];
    }
    int64_t before = 0;
    size_t part = 0;
    for (size_t place = 0; part < cuts; ++place) {
      if (ranks[place] > limit) continue;
      out[part++] = static_cast<int64_t>(place) + 1 - before;
      before = static_cast<int64_t>(place) + 1;
    }
    out[part] = total - before;
  }
}

}  // namespace taixue
