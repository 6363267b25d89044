// Chinese words by dictionary and hidden Markov model; twin: annotate/words_plain.py.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "huge_pages.h"

namespace taixue {

class WordCutter {
 public:
  // dictionary: lines of `word frequency tag`, UTF-8; of two lines with one word the later counts. tags: their names,
  // numbered from 1. emissions: character -> log probability of being a word's begin, middle, end, or a word of its
  // own; start and transitions [from][to] in the same order of states. unknown_tags: of words that the dictionary
  // lacks: digits, with Latin letters, two or three hanzi that begin with a surname, other hanzi, the rest.
  WordCutter(const std::string& dictionary, const std::vector<std::string>& tags, const std::vector<char32_t>& characters,
             const std::vector<std::array<double, 4>>& emissions, const std::array<double, 4>& start,
             const std::array<std::array<double, 4>, 4>& transitions, const std::u32string& surnames,
             const std::array<uint8_t, 5>& unknown_tags);

  struct Word {  // up to where the next one begins
    uint32_t begin;
    uint8_t tag;
  };
  // Buffers that are used again for every text.
  class Scratch {
    friend class WordCutter;
    struct Step {  // the best way from a place to the end of its block begins with a word of this length
      double score;
      uint16_t entry, length;
    };
    std::vector<uint16_t> classes;
    std::vector<Step> steps;
    std::vector<std::array<uint8_t, 4>> from;
    std::vector<uint8_t> begins;
  };

  // The words of code points, in order.
  void cut(const uint32_t* points, size_t count, Scratch& scratch, std::vector<Word>& words) const;

 private:
  // A node of the trie of words. That of character c behind it is cells_[base + class of c], if it has c's class as its
  // label: no two nodes have the same base.
  struct Cell {
    int32_t base = 0;  // 0: nothing behind it
    uint16_t label = kNoLabel;
    uint16_t entry = 0;  // frequency and tag; 0: no word ends here
  };
  struct Key {  // a word: its classes in a list of all words', and its entry
    std::vector<uint16_t>::size_type begin;
    uint16_t length, entry;
  };
  struct Span;
  static constexpr uint16_t kNoLabel = 0xFFFF;

  void read(const std::string& dictionary, const std::vector<std::string>& tags, const std::vector<char32_t>& more);
  void build(std::vector<Key>& keys, const std::vector<uint16_t>& classes);
  uint16_t entry_of(const Span& text, size_t begin, size_t end) const;
  void emit(const Span& text, size_t begin, size_t end) const;
  void emit(const Span& text, size_t begin, size_t end, uint16_t entry) const;
  uint8_t unknown_tag(const uint32_t* points, size_t count) const;
  void find_best_path(const Span& text, size_t count) const;
  size_t cut_block(const Span& text, size_t begin, size_t count) const;
  void cut_unknown(const Span& text, size_t begin, size_t end) const;
  void cut_by_model(const Span& text, size_t begin, size_t end) const;

  std::vector<uint16_t> class_of_;  // of code points of words and the model; frequent ones have low numbers, others 0
  std::vector<uint8_t> is_block_;   // whether words are made of a code point
  std::vector<Cell> roots_;         // nodes of single characters, by class
  LargeTable<Cell> cells_;
  std::vector<double> scores_;  // by entry: minus infinity where there is none
  std::vector<uint8_t> tags_;   // by entry
  double single_ = 0;  // log probability of a character that is no word: frequency 1
  std::vector<std::array<double, 4>> emissions_;  // by class
  std::array<double, 4> start_;
  std::array<std::array<double, 4>, 4> transitions_;
  std::vector<bool> is_surname_;  // by code point
  std::array<uint8_t, 5> unknown_tags_;
};

}  // namespace taixue
