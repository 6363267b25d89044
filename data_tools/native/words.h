// Chinese words by dictionary and hidden Markov model; twin: annotate/words_plain.py.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace taixue {

class WordCutter {
 public:
  // words: as code points, with the logarithm of their probability and their tag; single: the log probability of a
  // character that is no word; emissions: character -> log probability of being a word's begin, middle, end, or a word
  // of its own; start and transitions [from][to] in the same order of states. unknown_tags: of words that the dictionary
  // lacks: digits, with Latin letters, two or three hanzi that begin with a surname, other hanzi, the rest.
  WordCutter(const std::vector<std::u32string>& words, const std::vector<double>& scores, const std::vector<uint8_t>& tags,
             double single, const std::vector<char32_t>& characters, const std::vector<std::array<double, 4>>& emissions,
             const std::array<double, 4>& start, const std::array<std::array<double, 4>, 4>& transitions,
             const std::u32string& surnames, const std::array<uint8_t, 5>& unknown_tags);

  // For each character: 1 where a word starts, and the tag of its word.
  void run(const uint32_t* points, size_t count, uint8_t* starts, uint8_t* tags) const;

 private:
  struct Node {
    double score;
    int32_t tag;  // -1: no word ends here
  };
  struct Slot {
    uint64_t key;  // parent << 21 | character, plus 1
    uint32_t node;
  };
  struct Span;

  uint32_t child(uint32_t node, uint32_t point) const;
  uint32_t add_child(uint32_t node, uint32_t point);
  void grow();
  int32_t tag_of(const uint32_t* points, size_t count) const;
  uint8_t unknown_tag(const uint32_t* points, size_t count) const;
  void emit(const Span& text, size_t begin, size_t end) const;
  void emit(const Span& text, size_t begin, size_t end, int32_t known) const;
  void cut_block(const Span& text, size_t begin, size_t end) const;
  void cut_unknown(const Span& text, size_t begin, size_t end) const;
  void cut_by_model(const Span& text, size_t begin, size_t end) const;

  std::vector<Node> nodes_{{0, -1}};
  static constexpr size_t kPresent = 1 << 18;
  std::vector<Slot> slots_;
  std::vector<uint8_t> present_;  // a bit for each hash of a slot's key
  std::vector<uint32_t> roots_;
  double single_;
  std::vector<std::array<double, 4>> emissions_;
  std::vector<uint32_t> emission_of_;  // code point -> row; 0 is for unknown ones
  std::array<double, 4> start_;
  std::array<std::array<double, 4>, 4> transitions_;
  std::vector<bool> is_surname_;  // by code point
  std::array<uint8_t, 5> unknown_tags_;
};

}  // namespace taixue
