// Texts as units that are compared: characters in their canonical form, and words.
#pragma once
#include <algorithm>
#include <vector>

#include "hash128.h"
#include "texts.h"

namespace taixue {

// The units of one text, in arrays that are never made smaller.
struct Units {
  std::vector<uint64_t> values;  // a single's character, a word's hash
  std::vector<uint8_t> are_words;
  std::vector<uint32_t> begins, ends;  // characters of the text
  std::vector<uint32_t> edges;         // units before which a clause begins; the first is 0, the last is count
  std::vector<uint32_t> lines;         // the same of lines
  size_t count = 0;

  uint64_t hash(size_t k) const { return are_words[k] ? values[k] : murmur(values[k]); }
  // Whether a clause begins before unit k, or the text ends there.
  bool is_line(size_t k) const { return std::binary_search(lines.begin(), lines.end(), k); }
  bool is_edge(size_t k) const { return k == 0 || k == count || begins[k] > ends[k - 1]; }

  void clear(size_t most);

  // Appends to units that were cleared; they are whole when it is gone. It keeps the arrays' places in registers.
  class Writer {
   public:
    explicit Writer(Units& units)
        : units_(units),
          values_(units.values.data()),
          are_words_(units.are_words.data()),
          begins_(units.begins.data()),
          ends_(units.ends.data()) {}
    ~Writer() { units_.count = count_; }

    void add(uint64_t value, bool is_word, size_t begin, size_t end) {
      values_[count_] = value;
      are_words_[count_] = is_word;
      begins_[count_] = static_cast<uint32_t>(begin);
      ends_[count_] = static_cast<uint32_t>(end);
      ++count_;
    }
    void edge(bool is_line) {
      if (units_.edges.back() != count_) units_.edges.push_back(static_cast<uint32_t>(count_));
      if (is_line && units_.lines.back() != count_) units_.lines.push_back(static_cast<uint32_t>(count_));
    }

   private:
    Units& units_;
    uint64_t* values_;
    uint8_t* are_words_;
    uint32_t *begins_, *ends_;
    size_t count_ = 0;
  };
};

// A unit is a character of kind kSingle or a run of characters of kind kWordPart.
class Splitter {
 public:
  static constexpr uint32_t kSeparator = 0, kWordPart = 1, kSingle = 2, kSeveral = 3;

  // entries: one per code point, kind << 24 | canonical character, for a separator whether it ends a
  // line; kSeveral: index into several, whose entries it
  // stands for.
  Splitter(std::vector<uint32_t> entries, std::vector<std::vector<uint32_t>> several);

  void split(const Text& text, Units& units) const;

 private:
  bool split_plain(const Text& text, Units& units) const;

  std::vector<uint32_t> entries_;
  std::vector<std::vector<uint32_t>> several_;
};

}  // namespace taixue
