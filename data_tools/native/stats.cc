// Counts per document that filters decide on: one pass over the characters.
#include <cstring>
#include <unordered_set>

#include "functions.h"
#include "hash128.h"
#include "rolling.h"
#include "utf8.h"

namespace taixue {
namespace {

// Share of n-grams that occur more than once. Of two bit maps, the second says which bits of the first were set twice;
// only n-grams with such a bit, few in most texts, come into an open-addressed table: the upper bits of a hash choose
// the slot, which keeps the lower 32; the lowest bit says that it was seen twice. All are used again for the next text.
class Repetition {
 public:
  explicit Repetition(int ngram) : ngram_(static_cast<size_t>(ngram)), rolling_(ngram) {}

  double share(const uint32_t* points, size_t size) {
    if (ngram_ == 0 || size < ngram_) return 0.0;
    const size_t count = size - ngram_ + 1;
    const size_t found = candidates(rolling_.run(points, size), count);
    if (found == 0) return 0.0;
    const int bits = bits_for(2 * found, 4);
    slots_.assign(size_t{1} << bits, 0);
    int64_t repeated = 0;
    for (size_t k = 0; k < found; ++k) repeated += add(keys_[k], bits);
    return static_cast<double>(repeated) / static_cast<double>(count);
  }

 private:
  // The least number of bits, at least `bits`, that tells so many apart.
  static int bits_for(size_t count, int bits) {
    while ((size_t{1} << bits) < count) ++bits;
    return bits;
  }

  // Moves the hashes that may occur more than once to the front of keys_; how many they are.
  size_t candidates(const uint64_t* hashes, size_t count) {
    const int bits = bits_for(8 * count, 6), shift = 64 - bits;
    once_.assign(size_t{1} << (bits - 6), 0);
    twice_.assign(once_.size(), 0);
    if (keys_.size() < count) keys_.resize(count);
    for (size_t k = 0; k < count; ++k) {
      const uint64_t key = (hashes[k] ^ hashes[k] >> 32) * kSecret[1];
      const uint64_t bit = uint64_t{1} << (key >> shift & 63);
      uint64_t& word = once_[key >> shift >> 6];
      twice_[key >> shift >> 6] |= word & bit;
      word |= bit;
      keys_[k] = key;
    }
    size_t found = 0;
    for (size_t k = 0; k < count; ++k) {
      const uint64_t key = keys_[k];
      keys_[found] = key;
      found += twice_[key >> shift >> 6] >> (key >> shift & 63) & 1;
    }
    return found;
  }

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
  std::vector<uint64_t> keys_, once_, twice_;
  std::vector<uint32_t> slots_;
};

class Counter {
 public:
  Counter(const CharacterTable& table, int ngram) : table_(table.data()), repetition_(ngram) {}

  Stats count(const Text& text) {
    row_ = {};
    std::memset(entries_, 0, sizeof(entries_));
    if (visible_.size() < text.size) visible_.resize(text.size);
    seen_ = 0;
    lines_seen_.clear();
    line_characters_ = 0;
    row_.bytes = static_cast<int64_t>(text.size);
    for (const uint8_t* p = text.data; p < text.end();) p = line(p, text.end());
    copy_classes();
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
    const auto* found = static_cast<const uint8_t*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
    const uint8_t* stop = found == nullptr ? end : found;
    int64_t characters = 0, replacement = 0;
    size_t seen = seen_;
    uint32_t* visible = visible_.data();
    uint32_t point;
    for (const uint8_t* q = p; q < stop; ++characters) {
      q = decode(q, point);
      const uint8_t entry = table_[point];
      ++entries_[characters % kTurns][entry];
      visible[seen] = point;
      seen += !is_space(entry);
      replacement += point == 0xFFFD;
    }
    if (found != nullptr) ++entries_[0][table_[static_cast<uint8_t>('\n')]];
    row_.characters += characters + (found != nullptr);
    row_.replacement += replacement;
    if (seen > seen_) bare_line(p, stop, characters, visible[seen_], visible[seen - 1]);
    seen_ = seen;
    return found == nullptr ? end : found + 1;
  }

  // A line with white space around it; its first and last character that are none.
  void bare_line(const uint8_t* begin, const uint8_t* stop, int64_t characters, uint32_t first, uint32_t last) {
    uint32_t point;
    for (const uint8_t* next; next = decode(begin, point), is_space(table_[point]); begin = next) --characters;
    while (true) {
      const uint8_t* place = stop - 1;
      while (is_continuation(*place)) --place;
      decode(place, point);
      if (!is_space(table_[point])) break;
      stop = place;
      --characters;
    }
    end_line(begin, stop, characters, table_[first], table_[last]);
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

  void copy_classes() {
    int64_t kinds[kClasses] = {};
    for (int entry = 0; entry < kEntries; ++entry) {
      int64_t count = 0;
      for (int turn = 0; turn < kTurns; ++turn) count += entries_[turn][entry];
      kinds[entry & 15] += count;
      if (entry & kTraditional && (entry & 15) != kSpace) row_.traditional += count;
    }
    row_.hanzi = kinds[kHanzi];
    row_.latin = kinds[kLatin];
    row_.digits = kinds[kDigit];
    row_.punctuation = kinds[kPunctuation];
    row_.symbols = kinds[kSymbol];
    row_.whitespace = kinds[kSpace];
    row_.kana = kinds[kKana];
    row_.hangul = kinds[kHangul];
    row_.letters = kinds[kLetter];
  }

  const uint8_t* table_;
  Repetition repetition_;
  Stats row_;
  // In turns, so that counting one kind again and again does not wait for itself.
  static constexpr int kTurns = 4, kEntries = 256;
  uint32_t entries_[kTurns][kEntries];
  int64_t line_characters_ = 0;
  std::vector<uint32_t> visible_;
  size_t seen_ = 0;
  std::unordered_set<uint64_t> lines_seen_;
};

bool is_blank(const Text& text, const CharacterTable& table) {
  uint32_t point;
  for (const uint8_t* p = text.data; p < text.end();) {
    p = decode(p, point);
    if (!is_space(table[point])) return false;
  }
  return true;
}

}  // namespace

void are_blank(const Texts& texts, const CharacterTable& table, bool* out) {
  for (const Text& text : texts) *out++ = is_blank(text, table);
}

void text_stats(const Texts& texts, const CharacterTable& table, int ngram, Stats* rows) {
  Counter counter(table, ngram);
  for (size_t k = 0; k < texts.size(); ++k) rows[k] = counter.count(texts[k]);
}

}  // namespace taixue
