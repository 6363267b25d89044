// Counts per document that filters decide on: one pass over the characters.
#include <algorithm>
#include <unordered_set>

#include "functions.h"
#include "hash128.h"
#include "rolling.h"
#include "utf8.h"

namespace taixue {
namespace {

// Share of n-grams that occur more than once. An open-addressed table, used again for the next document: the upper bits
// of a hash choose the slot, which keeps the lower 32; the lowest bit says that it was seen twice.
class Repetition {
 public:
  explicit Repetition(int ngram) : ngram_(static_cast<size_t>(ngram)), rolling_(ngram) {}

  double share(const uint32_t* points, size_t size) {
    if (ngram_ == 0 || size < ngram_) return 0.0;
    const size_t count = size - ngram_ + 1;
    int bits = 4;
    while ((size_t{1} << bits) < 2 * count) ++bits;
    slots_.assign(size_t{1} << bits, 0);
    const uint64_t* hashes = rolling_.run(points, size);
    int64_t repeated = 0;
    for (size_t k = 0; k < count; ++k) repeated += add((hashes[k] ^ hashes[k] >> 32) * kSecret[1], bits);
    return static_cast<double>(repeated) / static_cast<double>(count);
  }

 private:
  // 0 for a new key; the second time counts for the first as well.
  int add(uint64_t hash, int bits) {
    const uint32_t key = static_cast<uint32_t>(hash >> 16 & ~uint64_t{1}) | 2;  // never 0, which means free
    const size_t last = slots_.size() - 1;
    for (size_t at = hash >> (64 - bits);; at = (at + 1) & last) {
      if (slots_[at] == 0) {
        slots_[at] = key;
        return 0;
      }
      if ((slots_[at] & ~1u) == key) {
        const int gain = slots_[at] & 1 ? 1 : 2;
        slots_[at] |= 1;
        return gain;
      }
    }
  }

  size_t ngram_;
  Rolling rolling_;
  std::vector<uint32_t> slots_;
};

class Counter {
 public:
  Counter(const CharacterTable& table, int ngram) : table_(table.data()), repetition_(ngram) {}

  Stats count(const Text& text) {
    row_ = {};
    std::fill(&kinds_[0][0], &kinds_[0][0] + kTurns * kClasses, 0);
    if (visible_.size() < text.size) visible_.resize(text.size);
    seen_ = 0;
    lines_seen_.clear();
    line_characters_ = 0;
    row_.bytes = static_cast<int64_t>(text.size);
    for (const uint8_t* p = text.data; p < text.end();) p = line(p, text.end());
    copy_kinds();
    if (row_.lines > 0) {
      row_.mean_line = static_cast<double>(line_characters_) / static_cast<double>(row_.lines);
      row_.duplicate_line_share = static_cast<double>(row_.duplicate_lines) / static_cast<double>(row_.lines);
    }
    row_.repetition = repetition_.share(visible_.data(), seen_);
    return row_;
  }

 private:
  // Counts up to and with the next line end.
  const uint8_t* line(const uint8_t* p, const uint8_t* end) {
    const uint8_t *begin = nullptr, *stop = nullptr;  // without white space around it
    int64_t characters = 0, first = 0, last = 0, traditional = 0, replacement = 0;
    uint8_t first_entry = 0, last_entry = 0;
    bool at_end = false;
    while (p < end && !at_end) {
      uint32_t point;
      const uint8_t* next = decode(p, point);
      const uint8_t entry = table_[point];
      ++kinds_[characters % kTurns][entry & 15];
      ++characters;
      if (!is_space(entry)) {
        visible_[seen_++] = point;
        traditional += (entry & kTraditional) != 0;
        replacement += point == 0xFFFD;
        if (begin == nullptr) {
          begin = p;
          first = characters;
          first_entry = entry;
        }
        stop = next;
        last = characters;
        last_entry = entry;
      }
      at_end = point == '\n';
      p = next;
    }
    row_.characters += characters;
    row_.traditional += traditional;
    row_.replacement += replacement;
    if (begin != nullptr) end_line(begin, stop, last - first + 1, first_entry, last_entry);
    return p;
  }

  void end_line(const uint8_t* begin, const uint8_t* stop, int64_t characters, uint8_t first, uint8_t last) {
    ++row_.lines;
    line_characters_ += characters;
    row_.bullet_lines += (first & kBullet) != 0;
    row_.end_punctuation_lines += (last & kEndsSentence) != 0;
    if (stop - begin >= 3) {
      row_.ellipsis_lines += std::memcmp(stop - 3, "\xE2\x80\xA6", 3) == 0 || std::memcmp(stop - 3, "...", 3) == 0;
    }
    const Hash128 hash = hash128(begin, static_cast<size_t>(stop - begin));
    if (!lines_seen_.insert(hash.first ^ hash.second).second) {
      ++row_.duplicate_lines;
      row_.duplicate_line_characters += characters;
    }
  }

  void copy_kinds() {
    for (int turn = 1; turn < kTurns; ++turn) {
      for (int kind = 0; kind < kClasses; ++kind) kinds_[0][kind] += kinds_[turn][kind];
    }
    row_.hanzi = kinds_[0][kHanzi];
    row_.latin = kinds_[0][kLatin];
    row_.digits = kinds_[0][kDigit];
    row_.punctuation = kinds_[0][kPunctuation];
    row_.symbols = kinds_[0][kSymbol];
    row_.whitespace = kinds_[0][kSpace];
    row_.kana = kinds_[0][kKana];
    row_.hangul = kinds_[0][kHangul];
    row_.letters = kinds_[0][kLetter];
  }

  const uint8_t* table_;
  Repetition repetition_;
  Stats row_;
  // In turns, so that counting one kind again and again does not wait for itself.
  static constexpr int kTurns = 4;
  int64_t kinds_[kTurns][kClasses];
  int64_t line_characters_ = 0;
  std::vector<uint32_t> visible_;
  size_t seen_ = 0;
  std::unordered_set<uint64_t> lines_seen_;
};

}  // namespace

void text_stats(const Texts& texts, const CharacterTable& table, int ngram, Stats* rows) {
  Counter counter(table, ngram);
  for (size_t k = 0; k < texts.size(); ++k) rows[k] = counter.count(texts[k]);
}

}  // namespace taixue
