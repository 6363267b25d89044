// All words of a list in a text, by a trie walk from every character, or where a bit map of the pairs of characters
// that words begin with says that it may lead somewhere.
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
  Ragged<Match> all(const Texts& texts) const;
  // edges: null, or for the characters of every text, and its end, whether a word may begin and end there.
  Ragged<Match> longest(const Texts& texts, const std::vector<uint8_t>* edges) const;
  std::vector<int64_t> counts(const Texts& texts) const;
  // Places of a text, its end among them, where words may begin and end: those whose mark has this bit.
  struct Edges {
    const uint8_t* marks;
    uint8_t bit;
  };
  // The longest words of one text given as code points; what is in `found` goes. begins: a buffer to use again. edges:
  // null for all places.
  void longest(const uint32_t* points, size_t count, const Edges* edges, std::vector<size_t>& begins,
               std::vector<Match>& found) const;

 private:
  template <typename IsEdge, typename Found>
  void longest(const uint32_t* points, size_t count, IsEdge is_edge, std::vector<size_t>& begins, Found found) const;
  template <typename Found>
  void all(const uint32_t* points, size_t count, Found found) const;

  std::vector<uint16_t> class_of_;  // of each code point; 0: in no word; the lowest are words by themselves
  size_t singles_ = 0;              // how many those are
  std::vector<uint64_t> pairs_;     // bits by hash: pairs of characters that words begin with
  DoubleArray trie_;
};

}  // namespace taixue
