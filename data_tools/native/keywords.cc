#include "keywords.h"

#include <stdexcept>

#include "utf8.h"

namespace taixue {

namespace {

// 16 bits per word, at most 2 MiB: a pair of characters that begins no word is seldom taken for one.
constexpr size_t kBitsPerWord = 16, kMostBits = size_t{1} << 24;  // powers of two, as many as hash() gives

constexpr auto kAnywhere = [](size_t) { return true; };

inline size_t hash(uint32_t first, uint32_t second) {
  return (uint64_t{first} << 32 | second) * 0x9E3779B97F4A7C15u >> 40;
}

std::vector<uint32_t> points_of(const Text& text) {
  std::vector<uint32_t> points(text.size);
  uint32_t* point = points.data();
  for (const uint8_t* p = text.data; p < text.end(); ++point) p = decode(p, *point);
  points.resize(static_cast<size_t>(point - points.data()));
  return points;
}

}  // namespace

Keywords::Keywords(const Texts& words) : class_of_(kPoints, 0) {
  size_t classes = 1;
  const auto add = [&](uint32_t point) {
    if (class_of_[point] != 0) return;
    if (classes == 0xFFFF) throw std::invalid_argument("more than 65,534 different characters in the words");
    class_of_[point] = static_cast<uint16_t>(classes++);
  };
  std::vector<std::vector<uint32_t>> all;
  for (const Text& word : words) all.push_back(points_of(word));
  for (const auto& word : all) {
    if (word.empty()) throw std::invalid_argument("an empty word");
    if (word.size() == 1) add(word[0]);
  }
  singles_ = classes - 1;
  size_t bits = 64;
  while (bits < kBitsPerWord * all.size() && bits < kMostBits) bits *= 2;
  pairs_.resize(bits / 64);
  std::vector<DoubleArray::Key> keys;
  for (const auto& word : all) {
    for (const uint32_t point : word) add(point);
    keys.emplace_back();
    for (const uint32_t point : word) keys.back().push_back(class_of_[point]);
    if (word.size() == 1) continue;
    const size_t pair = hash(word[0], word[1]) % bits;
    pairs_[pair / 64] |= uint64_t{1} << pair % 64;
  }
  trie_.build(keys, {});
}

template <typename Found>
void Keywords::all(const uint32_t* points, size_t count, Found found) const {
  const Cell* cells = trie_.cells();
  const auto class_at = [&](size_t k) { return k < count ? class_of_[points[k]] : uint16_t{0}; };  // 0 stops a walk
  for (size_t begin = 0; begin < count; ++begin) {
    int32_t place = 0, next = cells[0].base + class_at(begin);
    for (size_t at = begin; cells[next].check == place;) {
      place = next;
      ++at;
      if (cells[place].value >= 0) found(begin, at, cells[place].value);
      next = cells[place].base + class_at(at);
    }
  }
}

template <typename IsEdge, typename Found>
void Keywords::longest(const uint32_t* points, size_t count, IsEdge is_edge, std::vector<size_t>& begins,
                       Found found) const {
  if (begins.size() < count) begins.resize(count + count / 2);
  // Without a branch: places where a word may begin, and few others.
  const uint64_t* pairs = pairs_.data();
  const uint16_t* classes = class_of_.data();
  const size_t singles = singles_, last = pairs_.size() * 64 - 1;
  size_t candidates = 0;
  for (size_t k = 0; k < count; ++k) {
    const size_t pair = hash(points[k], k + 1 < count ? points[k + 1] : 0) & last;
    begins[candidates] = k;
    const bool begins_word = (pairs[pair / 64] >> pair % 64 & 1) | (singles > 0 && size_t{classes[points[k]]} - 1 < singles);
    candidates += begins_word & is_edge(k);
  }
  const Cell* cells = trie_.cells();
  const auto class_at = [&](size_t k) { return k < count ? class_of_[points[k]] : uint16_t{0}; };  // 0 stops a walk
#ifdef __GNUC__
  // The trie is larger than the cache: what the walks need is on its way before the first begins.
  for (size_t k = 0; k < candidates; ++k) {
    const Cell& first = cells[cells[0].base + class_at(begins[k])];
    __builtin_prefetch(&cells[first.base + class_at(begins[k] + 1)]);
  }
#endif
  size_t end = 0;
  for (size_t k = 0; k < candidates; ++k) {
    const size_t begin = begins[k];
    if (begin < end) continue;
    int32_t place = 0, next = cells[0].base + class_at(begin), word = -1;
    for (size_t at = begin; cells[next].check == place;) {
      place = next;
      ++at;
      if (cells[place].value >= 0 && is_edge(at)) {
        word = cells[place].value;
        end = at;
      }
      next = cells[place].base + class_at(at);
    }
    if (word >= 0) found(begin, end, word);
  }
}

void Keywords::longest(const uint32_t* points, size_t count, const Edges* edges, std::vector<size_t>& begins,
                       std::vector<Match>& found) const {
  found.clear();
  const auto keep = [&found](size_t begin, size_t end, int32_t word) {
    found.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), word});
  };
  if (edges == nullptr) return longest(points, count, kAnywhere, begins, keep);
  const auto [marks, bit] = *edges;
  longest(points, count, [marks = marks, bit = bit](size_t k) { return (marks[k] & bit) != 0; }, begins, keep);
}

Ragged<Match> Keywords::all(const Texts& texts) const {
  Ragged<Match> out;
  for (const Text& text : texts) {
    const std::vector<uint32_t> points = points_of(text);
    all(points.data(), points.size(), [&out](size_t begin, size_t end, int32_t word) {
      out.values.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), word});
    });
    out.end_row();
  }
  return out;
}

Ragged<Match> Keywords::longest(const Texts& texts, const std::vector<uint8_t>* edges) const {
  Ragged<Match> out;
  std::vector<size_t> begins;
  std::vector<Match> found;
  size_t first = 0;  // of the text's edges
  for (const Text& text : texts) {
    const std::vector<uint32_t> points = points_of(text);
    if (edges != nullptr && edges->size() - first <= points.size()) throw std::invalid_argument("too few edges");
    const Edges own{edges != nullptr ? edges->data() + first : nullptr, 1};
    longest(points.data(), points.size(), edges != nullptr ? &own : nullptr, begins, found);
    first += points.size() + 1;
    out.values.insert(out.values.end(), found.begin(), found.end());
    out.end_row();
  }
  return out;
}

std::vector<int64_t> Keywords::counts(const Texts& texts) const {
  std::vector<int64_t> out;
  std::vector<size_t> begins;
  for (const Text& text : texts) {
    const std::vector<uint32_t> points = points_of(text);
    int64_t count = 0;
    longest(points.data(), points.size(), kAnywhere, begins, [&count](size_t, size_t, int32_t) { ++count; });
    out.push_back(count);
  }
  return out;
}

}  // namespace taixue
