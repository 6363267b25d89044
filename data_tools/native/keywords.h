// All words of a list in a text, by a trie walk from every character.
#pragma once
#include <string>
#include <vector>

#include "double_array.h"
#include "texts.h"

namespace taixue {

struct Match {
  int32_t begin, end, word;  // characters [begin, end)
};

class Keywords {
 public:
  explicit Keywords(const Texts& words);
  Ragged<Match> find(const Texts& texts, bool longest) const;
  std::vector<int64_t> counts(const Texts& texts) const;
  // The longest words of one text given as code points; what is in `found` goes.
  void longest(const uint32_t* points, size_t count, std::vector<Match>& found) const;

 private:
  void classify(const Text& text, std::vector<uint16_t>& classes) const;
  template <typename ClassAt, typename Found>
  void longest(size_t count, ClassAt class_at, Found found) const;
  template <typename Found>
  void all(const std::vector<uint16_t>& classes, Found found) const;

  std::vector<uint16_t> class_of_;  // of each code point; 0: in no word
  DoubleArray trie_;
};

}  // namespace taixue
