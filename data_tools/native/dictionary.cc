// The word list of a WordCutter: reading it, and its trie.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "utf8.h"
#include "words.h"

namespace taixue {
namespace {

constexpr int kAttempts = 100;  // places tried for the children of a node before they go behind everything

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

struct Field {
  const uint8_t* data;
  size_t size;
};

// The next field of a text, without the white space around it; empty at the end.
Field next_field(const std::string& text, size_t& at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  const size_t begin = at;
  while (at < text.size() && !is_blank(text[at])) ++at;
  return {reinterpret_cast<const uint8_t*>(text.data()) + begin, at - begin};
}

uint64_t number_of(const Field& field) {
  uint64_t number = 0;
  for (size_t k = 0; k < field.size; ++k) {
    const uint64_t digit = field.data[k] - uint64_t{'0'};
    if (digit > 9 || number > (uint64_t{1} << 50)) throw std::invalid_argument("a frequency is no number");
    number = 10 * number + digit;
  }
  return number;
}

}  // namespace

void WordCutter::read(const std::string& dictionary, const std::vector<std::string>& tags,
                      const std::vector<char32_t>& more) {
  if (!is_valid_utf8(reinterpret_cast<const uint8_t*>(dictionary.data()), dictionary.size())) {
    throw std::invalid_argument("the dictionary is not UTF-8");
  }
  std::unordered_map<std::string, uint8_t> tag_of;
  for (size_t k = 0; k < tags.size(); ++k) tag_of[tags[k]] = static_cast<uint8_t>(k + 1);
  std::unordered_map<uint64_t, uint16_t> entry_of;  // frequency << 8 | tag
  std::vector<uint64_t> frequencies{0};
  scores_.push_back(-std::numeric_limits<double>::infinity());
  tags_.push_back(0);
  std::vector<Key> keys;
  std::vector<uint32_t> points, counts(kPoints, 0);
  std::vector<uint32_t> used;
  uint64_t total = 0;
  for (size_t at = 0;;) {
    const Field word = next_field(dictionary, at), frequency = next_field(dictionary, at);
    const Field tag = next_field(dictionary, at);
    if (word.size == 0) break;
    const auto known = tag_of.find(std::string(reinterpret_cast<const char*>(tag.data), tag.size));
    if (known == tag_of.end()) throw std::invalid_argument("the dictionary has a tag that is not known");
    const uint64_t often = number_of(frequency);
    total += often;
    const auto entry = entry_of.emplace(often << 8 | known->second, static_cast<uint16_t>(tags_.size()));
    if (entry.second) {
      if (tags_.size() == 0xFFFF) throw std::invalid_argument("more than 65,534 pairs of frequency and tag");
      tags_.push_back(known->second);
      frequencies.push_back(often);
    }
    const size_t begin = points.size();
    for (const uint8_t* p = word.data; p < word.data + word.size;) {
      uint32_t point;
      p = decode(p, point);
      if (counts[point]++ == 0) used.push_back(point);
      points.push_back(point);
    }
    if (points.size() - begin > 0xFFFF) throw std::invalid_argument("a word of more than 65,535 characters");
    keys.push_back({begin, static_cast<uint16_t>(points.size() - begin), entry.first->second});
  }
  const double all = std::log(static_cast<double>(total));
  single_ = -all;
  for (size_t k = 1; k < tags_.size(); ++k) scores_.push_back(std::log(static_cast<double>(frequencies[k])) - all);

  for (const char32_t point : more) {
    if (counts[point] == 0) used.push_back(point);
  }
  if (used.size() >= kNoLabel) throw std::invalid_argument("more than 65,534 different characters");
  std::sort(used.begin(), used.end(), [&](uint32_t a, uint32_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  for (size_t k = 0; k < used.size(); ++k) class_of_[used[k]] = static_cast<uint16_t>(k + 1);
  std::vector<uint16_t> classes(points.size());
  std::transform(points.begin(), points.end(), classes.begin(), [&](uint32_t point) { return class_of_[point]; });
  roots_.resize(used.size() + 1);
  build(keys, classes);
}

// Breadth first, so that short words, which are looked up most, lie together.
void WordCutter::build(std::vector<Key>& keys, const std::vector<uint16_t>& classes) {
  const auto sortable = [&](const Key& key) {
    uint64_t value = 0;
    for (size_t k = 0; k < 4; ++k) value = value << 16 | (k < key.length ? classes[key.begin + k] : 0u);
    return value;
  };
  std::vector<std::pair<uint64_t, uint32_t>> order(keys.size());
  for (size_t k = 0; k < keys.size(); ++k) order[k] = {sortable(keys[k]), static_cast<uint32_t>(k)};
  std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    const Key &one = keys[a.second], &other = keys[b.second];
    const auto *p = &classes[one.begin], *q = &classes[other.begin];
    const size_t shorter = std::min(one.length, other.length);
    const auto differ = std::mismatch(p, p + shorter, q);
    if (differ.first != p + shorter) return *differ.first < *differ.second;
    return one.length != other.length ? one.length < other.length : a.second < b.second;
  });

  struct Node {
    size_t begin, end;  // the words that share the path to it
    int32_t place;      // in cells_; roots: -class
    uint16_t depth;
  };
  std::vector<Node> nodes;
  std::vector<bool> is_base;
  std::vector<uint16_t> labels;
  std::vector<size_t> starts;
  const auto class_at = [&](size_t k, size_t depth) { return classes[keys[order[k].second].begin + depth]; };
  // The different classes at this depth, and where each begins.
  const auto branch = [&](size_t begin, size_t end, uint16_t depth) {
    labels.clear();
    starts.clear();
    for (size_t k = begin; k < end; ++k) {
      const uint16_t cls = class_at(k, depth);
      if (!labels.empty() && cls == labels.back()) continue;
      labels.push_back(cls);
      starts.push_back(k);
    }
    starts.push_back(end);
  };
  branch(0, keys.size(), 0);
  for (size_t k = 0; k < labels.size(); ++k) nodes.push_back({starts[k], starts[k + 1], -labels[k], 1});
  size_t frontier = 0;  // where the last of those nodes went that found no place before it
  // A free place at or after p is found by following free[p]; whoever passes shortens the way.
  std::vector<size_t> free;
  const auto next_free = [&](size_t place) {
    size_t found = place;
    while (found < free.size() && free[found] != found) found = free[found];
    while (place < free.size() && free[place] != found) place = std::exchange(free[place], found);
    return found;
  };
  for (size_t n = 0; n < nodes.size(); ++n) {
    Node node = nodes[n];
    const auto cell = [&]() -> Cell& {
      return node.place < 0 ? roots_[static_cast<size_t>(-node.place)] : cells_[static_cast<size_t>(node.place)];
    };
    for (; node.begin < node.end && keys[order[node.begin].second].length == node.depth; ++node.begin) {
      cell().entry = keys[order[node.begin].second].entry;
    }
    if (node.begin == node.end) continue;
    branch(node.begin, node.end, node.depth);
    const auto is_free = [&](size_t place) { return place >= cells_.size() || cells_[place].label == kNoLabel; };
    size_t place = next_free(labels[0] + size_t{1});
    int attempt = 1;
    for (;; ++attempt, place = next_free(place + 1)) {
      if (attempt == kAttempts) place = next_free(std::max(place, frontier));
      const size_t base = place - labels[0];
      if (base < is_base.size() && is_base[base]) continue;
      if (std::all_of(labels.begin(), labels.end(), [&](uint16_t cls) { return is_free(base + cls); })) break;
    }
    if (attempt >= kAttempts) frontier = place;
    const size_t base = place - labels[0];
    if (base >= is_base.size()) is_base.resize(base + base / 4 + 1);
    is_base[base] = true;
    if (base + labels.back() >= cells_.size()) cells_.resize(base + labels.back() + 1);
    for (size_t k = free.size(); k < cells_.size(); ++k) free.push_back(k);
    cell().base = static_cast<int32_t>(base);
    for (size_t k = 0; k < labels.size(); ++k) {
      cells_[base + labels[k]].label = labels[k];
      free[base + labels[k]] = base + labels[k] + 1;
      nodes.push_back({starts[k], starts[k + 1], static_cast<int32_t>(base + labels[k]), static_cast<uint16_t>(node.depth + 1)});
    }
  }
  cells_.resize(cells_.size() + roots_.size());  // base + class is always inside
}

}  // namespace taixue
