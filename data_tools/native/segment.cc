// Where sentences and clauses end.
#include "functions.h"
#include "utf8.h"

namespace taixue {
namespace {

enum Mark : uint8_t { kNone, kSentence, kClause, kClosing, kQuote, kStop };

Mark mark_of(uint32_t point) {
  switch (point) {
    case 0x3002: case 0xFF01: case 0xFF1F: case '!': case '?': case 0x2026: case 0xFF61: case '\n': return kSentence;
    case 0xFF0C: case 0xFF1B: case ',': case ';': return kClause;
    case 0x201D: case 0x2019: case 0x300D: case 0x300F: case 0xFF09: case 0x300B: case 0x3011: case 0x3009: case 0x3015:
    case 0xFF3D: case ')': case ']': return kClosing;
    case '"': case '\'': return kQuote;
    case '.': return kStop;
    default: return kNone;
  }
}

class Segmenter {
 public:
  Segmenter(const Text& text, const CharacterTable& table) : end_(text.end()), p_(text.data), table_(table.data()) {}

  void run(std::vector<int32_t>& sentences, std::vector<int32_t>& clauses) {
    if (p_ == end_) return;
    uint32_t before = 0;
    while (p_ < end_) {
      // Hanzi, most of the text, are no marks: their first byte is E4 to E9.
      if (is_hanzi(*p_)) {
        const uint8_t* p = p_;
        do p += 3;
        while (p < end_ && is_hanzi(*p));
        at_ += static_cast<int32_t>((p - p_) / 3);
        p_ = p;
        before = kHanziPoint;
        continue;
      }
      uint32_t point;
      const uint8_t* next = decode(p_, point);
      if (!is_end(before, point, next)) {
        before = point;
        p_ = next;
        ++at_;
        continue;
      }
      const bool is_sentence = boundary(before);
      if (p_ == end_) break;
      clauses.push_back(at_);
      if (is_sentence) sentences.push_back(at_);
    }
    clauses.push_back(at_);
    sentences.push_back(at_);
  }

 private:
  static constexpr uint32_t kHanziPoint = 0x4E00;

  static bool is_hanzi(uint8_t first) { return first >= 0xE4 && first <= 0xE9; }

  static bool is_digit(uint32_t point) { return point >= '0' && point <= '9'; }

  bool is_end(uint32_t before, uint32_t point, const uint8_t* next) const {
    const Mark mark = mark_of(point);
    if (mark == kSentence) return true;
    if (mark != kClause && mark != kStop) return false;
    if (point >= 0x80) return true;
    uint32_t after = 0;
    if (next < end_) decode(next, after);
    if (mark == kClause) return !(is_digit(before) && next < end_ && is_digit(after));
    if (next == end_ || is_space(table_[after])) return true;
    const Mark follows = mark_of(after);
    return follows == kStop || follows == kClosing || follows == kQuote;
  }

  // Passes the marks, closing marks and white space of a boundary; whether it ends a sentence.
  bool boundary(uint32_t& before) {
    bool is_sentence = false, in_marks = true;
    while (p_ < end_) {
      uint32_t point;
      const uint8_t* next = decode(p_, point);
      const Mark mark = mark_of(point);
      in_marks = in_marks && mark != kNone && (mark != kQuote || is_sentence);
      if (in_marks) {
        is_sentence |= mark == kSentence || mark == kStop;
      } else if (is_space(table_[point])) {
        is_sentence |= point == '\n';
      } else {
        break;
      }
      before = point;
      p_ = next;
      ++at_;
    }
    return is_sentence;
  }

  const uint8_t *end_, *p_;
  const uint8_t* table_;
  int32_t at_ = 0;
};

}  // namespace

void segment(const Text& text, const CharacterTable& table, std::vector<int32_t>& sentences,
             std::vector<int32_t>& clauses) {
  Segmenter(text, table).run(sentences, clauses);
}

std::pair<Ragged<int32_t>, Ragged<int32_t>> segment(const Texts& texts, const CharacterTable& table) {
  std::pair<Ragged<int32_t>, Ragged<int32_t>> out;
  for (const Text& text : texts) {
    segment(text, table, out.first.values, out.second.values);
    out.first.end_row();
    out.second.end_row();
  }
  return out;
}

}  // namespace taixue
