#include "json_lines.h"

#include <cstring>

#include "functions.h"
#include "utf8.h"

namespace taixue {
namespace {

using Pointer = const uint8_t*;

constexpr int kDepth = 64;           // of nested values
constexpr ptrdiff_t kNumber = 18;    // bytes of a number

// The next quotation mark, backslash or control character at or after p.
Pointer special(Pointer p, Pointer end) {
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  for (; end - p >= 8; p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    const uint64_t quote = word ^ 0x2222222222222222u, backslash = word ^ 0x5C5C5C5C5C5C5C5Cu;
    const uint64_t found = (((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) |
                            ((word - 0x2020202020202020u) & ~word)) & kHigh;
    if (found != 0) break;
  }
  while (p < end && *p != '"' && *p != '\\' && *p >= 0x20) ++p;
  return p;
}

// The number of four hexadecimal digits, -1 when they are none.
int32_t hexadecimal(Pointer p, Pointer end) {
  if (end - p < 4) return -1;
  int32_t value = 0;
  for (int k = 0; k < 4; ++k) {
    const int lower = p[k] | 0x20;
    const int digit = p[k] >= '0' && p[k] <= '9' ? p[k] - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

bool is_high(int32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low(int32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

struct String {
  Pointer begin = nullptr, end = nullptr;  // between the quotation marks
  bool escaped = false;
};

// Writes a string that was read without fault; returns what follows it. Never longer than it stands in JSON.
uint8_t* unescape(const String& string, uint8_t* out) {
  for (Pointer p = string.begin; p < string.end;) {
    const auto* found = static_cast<Pointer>(std::memchr(p, '\\', static_cast<size_t>(string.end - p)));
    const Pointer stop = found == nullptr ? string.end : found;
    std::memcpy(out, p, static_cast<size_t>(stop - p));
    out += stop - p;
    if (found == nullptr) break;
    p = found + 2;
    switch (found[1]) {
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      case 'u': {
        auto point = static_cast<uint32_t>(hexadecimal(p, string.end));
        p += 4;
        if (is_high(static_cast<int32_t>(point))) {
          point = 0x10000 + ((point - 0xD800) << 10) + static_cast<uint32_t>(hexadecimal(p + 2, string.end)) - 0xDC00;
          p += 6;
        }
        out = write_point(point, out);
        break;
      }
      default: *out++ = found[1];
    }
  }
  return out;
}

// Reads one line. Every function says whether all went well.
class Line {
 public:
  Line(Pointer begin, Pointer end, const std::string& field) : p_(begin), end_(end), field_(field) {}

  // The whole line; text: the last string at the field.
  bool record(String& text) {
    space();
    if (!object(0, &text)) return false;
    space();
    return p_ == end_ && text.begin != nullptr;
  }

 private:
  void space() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\r' || *p_ == '\n')) ++p_;
  }
  bool take(char character) {
    if (p_ == end_ || *p_ != static_cast<uint8_t>(character)) return false;
    ++p_;
    return true;
  }
  bool word(const char* letters) {
    for (; *letters; ++letters) {
      if (!take(*letters)) return false;
    }
    return true;
  }

  bool string(String& out) {
    if (!take('"')) return false;
    out = {p_, p_, false};
    while ((p_ = special(p_, end_)) < end_) {
      if (*p_ == '"') {
        out.end = p_++;
        return true;
      }
      if (*p_ != '\\' || ++p_ == end_) return false;
      out.escaped = true;
      const uint8_t kind = *p_++;
      if (kind == 'u' ? !unit() : kind == 0 || std::strchr("\"\\/bfnrt", kind) == nullptr) return false;
    }
    return false;
  }
  // Behind \u: one character, perhaps of two halves.
  bool unit() {
    const int32_t first = hexadecimal(p_, end_);
    if (first < 0 || is_low(first)) return false;
    p_ += 4;
    if (!is_high(first)) return true;
    if (!word("\\u") || !is_low(hexadecimal(p_, end_))) return false;
    p_ += 4;
    return true;
  }

  bool number() {
    const Pointer begin = p_;
    take('-');
    const bool zero = p_ < end_ && *p_ == '0';
    const ptrdiff_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (take('.') && digits() == 0) return false;
    return p_ - begin <= kNumber && !(p_ < end_ && (*p_ | 0x20) == 'e');
  }
  ptrdiff_t digits() {
    const Pointer begin = p_;
    while (p_ < end_ && *p_ >= '0' && *p_ <= '9') ++p_;
    return p_ - begin;
  }

  bool value(int depth) {
    if (p_ == end_ || depth > kDepth) return false;
    String ignored;
    switch (*p_) {
      case '"': return string(ignored);
      case '{': return object(depth, nullptr);
      case '[': return array(depth);
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

  bool array(int depth) {
    take('[');
    space();
    if (take(']')) return true;
    while (true) {
      space();
      if (!value(depth + 1)) return false;
      space();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  bool object(int depth, String* text) {
    if (!take('{')) return false;
    space();
    if (take('}')) return true;
    while (true) {
      String key;
      space();
      if (!string(key)) return false;
      space();
      if (!take(':')) return false;
      space();
      if (text != nullptr && is_field(key)) {
        *text = {};
        if (p_ < end_ && *p_ == '"' ? !string(*text) : !value(depth + 1)) return false;
      } else if (!value(depth + 1)) {
        return false;
      }
      space();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool is_field(const String& key) const {
    const auto size = static_cast<size_t>(key.end - key.begin);
    if (!key.escaped) return size == field_.size() && std::memcmp(key.begin, field_.data(), size) == 0;
    std::string plain(size, 0);
    auto* out = reinterpret_cast<uint8_t*>(plain.data());
    plain.resize(static_cast<size_t>(unescape(key, out) - out));
    return plain == field_;
  }

  Pointer p_, end_;
  const std::string& field_;
};

bool is_blank(const Text& text, const CharacterTable& table) {
  uint32_t point;
  for (Pointer p = text.data; p < text.end();) {
    p = decode(p, point);
    if (!is_space(table[point])) return false;
  }
  return true;
}

}  // namespace

void are_blank(const Texts& texts, const CharacterTable& table, bool* out) {
  for (const Text& text : texts) *out++ = is_blank(text, table);
}

void json_texts(const Text& block, const std::string& field, size_t limit, const CharacterTable& table, JsonTexts& out) {
  out.unescaped.resize(block.size);  // never too small, so nothing moves
  auto* free = reinterpret_cast<uint8_t*>(out.unescaped.data());
  for (Pointer begin = block.data; begin < block.end(); ++out.lines) {
    const auto* found = static_cast<Pointer>(std::memchr(begin, '\n', static_cast<size_t>(block.end() - begin)));
    const Pointer end = found == nullptr ? block.end() : found;
    const auto size = static_cast<size_t>(end - begin);
    String string;
    Text text{nullptr, 0};
    if (size <= limit && is_valid_utf8(begin, size) && Line(begin, end, field).record(string)) {
      text = {string.begin, static_cast<size_t>(string.end - string.begin)};
      if (string.escaped) text = {free, static_cast<size_t>(unescape(string, free) - free)};
    }
    if (text.data == nullptr || is_blank(text, table)) {
      out.others.push_back({out.lines, begin - block.data, end - block.data, static_cast<int64_t>(out.texts.size())});
    } else {
      out.texts.push_back(text);
      if (string.escaped) free += text.size;
    }
    begin = end + 1;
  }
}

}  // namespace taixue
