// SentencePiece's unigram segmentation, id for id as version 0.2.3 gives it (plain/unigram.py is the specification).
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "charsmap.h"
#include "double_array.h"
#include "texts.h"

namespace taixue {

struct UnigramModel {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<uint8_t> types;
  std::string charsmap;
  bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, whitespace_as_suffix, byte_fallback;
};

class Unigram {
 public:
  explicit Unigram(const UnigramModel& model);

  // Appends the ids of each text, and `append` when it is not negative.
  template <typename Id>
  void encode(const Texts& texts, int32_t append, Ragged<Id>& out) const;
  // The same, and for each id the first character of its text that it stands for: -1 for the space that is put before
  // a text, the number of characters for `append`. Of a run of white space it is the first.
  void encode(const Texts& texts, int32_t append, Ragged<int32_t>& out, std::vector<int32_t>& starts) const;

 private:
  // One position of the text: the best way to get there.
  struct Best {
    float score;  // minus infinity: not reached yet
    int32_t id, begin;
  };
  // Buffers that are used again for every text: the first `count` characters of classes and points count.
  struct Scratch {
    size_t count = 0, capacity = 0;
    std::unique_ptr<uint16_t[]> classes;
    std::unique_ptr<uint32_t[]> points;  // with byte fallback only
    std::unique_ptr<int32_t[]> origins;  // character of the text, with starts only
    std::unique_ptr<Best[]> best;
    std::vector<int32_t> ids, starts;  // those of the text are [first, stop)
    size_t first = 0, stop = 0;
    int32_t origin = 0;  // the character that is at work; behind the last at the end
    void reserve(size_t needed);
  };

  void add_pieces(const UnigramModel& model);
  void add_character(uint32_t point);
  void set_normal_forms();

  // kStarts: whether origins and starts are wanted.
  template <bool kStarts, typename Id>
  void encode_all(const Texts& texts, int32_t append, Ragged<Id>& out, std::vector<int32_t>* starts) const;
  template <bool kStarts>
  void normalize(const Text& text, Scratch& scratch) const;
  bool is_special(uint32_t entry, const uint8_t* next, const uint8_t* end) const;
  template <bool kStarts>
  const uint8_t* put_plain(const uint8_t* p, const uint8_t* end, Scratch& scratch) const;
  template <bool kStarts>
  const uint8_t* put_step(const uint8_t* p, const uint8_t* end, Scratch& scratch, bool& after_space) const;
  const uint8_t* leading_space(const uint8_t* p, const uint8_t* end) const;
  template <bool kStarts>
  void put(uint32_t point, Scratch& scratch) const;
  // What the longest user-defined symbol or rule at p takes and turns into; characters that stay as they are: length 0.
  struct Step {
    size_t length;
    const char* text;
    size_t size;
  };
  Step special_step(const uint8_t* p, const uint8_t* end) const;

  void find_best_path(Scratch& scratch) const;
  static void shift_scores(Best* best, size_t from, size_t count);
  template <bool kStarts>
  void collect_ids(Scratch& scratch) const;

  // How a character is normalised, in the upper bits of its entry; the lower 16 are its class when it stays alone.
  enum Form : uint32_t { kSingle = 0, kSpaceForm = 1, kSpecial = 2, kMayContinue = 4, kContinues = 8 };
  static constexpr int kFormShift = 16;

  Charsmap charsmap_;
  bool dummy_prefix_, trim_, suffix_, byte_fallback_;
  uint32_t space_;               // ▁ or the space
  std::vector<uint32_t> forms_;  // of each code point
  std::vector<uint32_t> becomes_;  // code point that a kSingle character turns into; only with byte fallback
  std::vector<uint16_t> class_of_;
  size_t classes_ = 1;
  DoubleArray trie_;
  std::vector<int32_t> piece_ids_;
  std::unordered_map<uint32_t, std::vector<std::string>> symbols_;  // user-defined, by first character, longest first
  int32_t unknown_ = -1;
  int32_t byte_ids_[256] = {};
  float unknown_score_ = 0;
};

}  // namespace taixue
