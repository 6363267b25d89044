#include "keywords.h"

#include <stdexcept>

#include "utf8.h"

namespace taixue {

Keywords::Keywords(const Texts& words) : class_of_(kPoints, 0) {
  size_t classes = 1;
  std::vector<DoubleArray::Key> keys;
  for (const Text& word : words) {
    DoubleArray::Key key;
    for (const uint8_t* p = word.data; p < word.end();) {
      uint32_t point;
      p = decode(p, point);
      if (class_of_[point] == 0) {
        if (classes == 0xFFFF) throw std::invalid_argument("more than 65,534 different characters in the words");
        class_of_[point] = static_cast<uint16_t>(classes++);
      }
      key.push_back(class_of_[point]);
    }
    if (key.empty()) throw std::invalid_argument("an empty word");
    keys.push_back(std::move(key));
  }
  trie_.build(keys, {});
}

void Keywords::classify(const Text& text, std::vector<uint16_t>& classes) const {
  classes.clear();
  for (const uint8_t* p = text.data; p < text.end();) {
    uint32_t point;
    p = decode(p, point);
    classes.push_back(class_of_[point]);
  }
  classes.push_back(0);  // stops every walk
}

template <typename Found>
void Keywords::all(const std::vector<uint16_t>& classes, Found found) const {
  const Cell* cells = trie_.cells();
  const size_t count = classes.size() - 1;
  for (size_t begin = 0; begin < count; ++begin) {
    int32_t place = 0, next = cells[0].base + classes[begin];
    for (size_t at = begin; cells[next].check == place;) {
      place = next;
      ++at;
      if (cells[place].value >= 0) found(begin, at, cells[place].value);
      next = cells[place].base + classes[at];
    }
  }
}

// class_at(count) is 0, which stops every walk.
template <typename ClassAt, typename Found>
void Keywords::longest(size_t count, ClassAt class_at, Found found) const {
  const Cell* cells = trie_.cells();
  for (size_t begin = 0; begin < count;) {
    int32_t place = 0, next = cells[0].base + class_at(begin), word = -1;
    size_t end = begin + 1;
    for (size_t at = begin; cells[next].check == place;) {
      place = next;
      ++at;
      if (cells[place].value >= 0) {
        word = cells[place].value;
        end = at;
      }
      next = cells[place].base + class_at(at);
    }
    if (word >= 0) found(begin, end, word);
    begin = end;
  }
}

void Keywords::longest(const uint32_t* points, size_t count, std::vector<Match>& found) const {
  found.clear();
  const uint16_t* classes = class_of_.data();
  const auto class_at = [=](size_t k) { return k < count ? classes[points[k]] : uint16_t{0}; };
  longest(count, class_at, [&found](size_t begin, size_t end, int32_t word) {
    found.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), word});
  });
}

Ragged<Match> Keywords::find(const Texts& texts, bool only_longest) const {
  Ragged<Match> out;
  std::vector<uint16_t> classes;
  const auto keep = [&out](size_t begin, size_t end, int32_t word) {
    out.values.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), word});
  };
  for (const Text& text : texts) {
    classify(text, classes);
    if (only_longest) {
      longest(classes.size() - 1, [&classes](size_t k) { return classes[k]; }, keep);
    } else {
      all(classes, keep);
    }
    out.end_row();
  }
  return out;
}

std::vector<int64_t> Keywords::counts(const Texts& texts) const {
  std::vector<int64_t> out;
  std::vector<uint16_t> classes;
  for (const Text& text : texts) {
    classify(text, classes);
    int64_t count = 0;
    const auto class_at = [&classes](size_t k) { return classes[k]; };
    longest(classes.size() - 1, class_at, [&count](size_t, size_t, int32_t) { ++count; });
    out.push_back(count);
  }
  return out;
}

}  // namespace taixue
