#include "html.h"

#include <cstring>

#include "utf8.h"

namespace taixue {
namespace {

constexpr size_t kNameLimit = 16, kEntityLimit = 32, kAttributeLimit = 1000;

bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
bool is_alpha(uint8_t c) { return ((c | 0x20) >= 'a') && ((c | 0x20) <= 'z'); }
bool is_hex(uint8_t c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// A name: a letter, then letters and digits, at most `limit`.
size_t name_at(const uint8_t* p, const uint8_t* end, size_t limit) {
  if (p == end || !is_alpha(*p)) return 0;
  size_t length = 1;
  while (length < limit && p + length < end && (is_alpha(p[length]) || is_digit(p[length]))) ++length;
  return length;
}

}  // namespace

Html::Html(std::unordered_map<std::string, std::string> entities, std::vector<std::string> numbered,
           std::unordered_set<std::string> blocks, std::unordered_set<std::string> inlines)
    : entities_(std::move(entities)),
      numbered_(std::move(numbered)),
      blocks_(std::move(blocks)),
      inlines_(std::move(inlines)) {}

bool Html::run(const Text& text, std::string& out) const {
  bool started = false;
  std::string replacement;
  const uint8_t* copied = text.data;
  for (const uint8_t* p = text.data; p < text.end();) {
    if (*p != '<' && *p != '&') {
      ++p;
      continue;
    }
    const uint8_t* stop = *p == '&' ? entity(p, text.end(), replacement) : comment(p, text.end());
    if (stop != nullptr && *p == '<') replacement.clear();
    if (stop == nullptr && *p == '<') stop = tag(p, text.end(), replacement);
    if (stop == nullptr) {
      ++p;
      continue;
    }
    if (!started) out.clear();
    started = true;
    out.append(reinterpret_cast<const char*>(copied), static_cast<size_t>(p - copied));
    out += replacement;
    copied = p = stop;
  }
  if (started) out.append(reinterpret_cast<const char*>(copied), static_cast<size_t>(text.end() - copied));
  return started;
}

const uint8_t* Html::comment(const uint8_t* p, const uint8_t* end) const {
  if (end - p < 7 || std::memcmp(p, "<!--", 4) != 0) return nullptr;
  for (p += 4; end - p >= 3; ++p) {
    if (std::memcmp(p, "-->", 3) == 0) return p + 3;
  }
  return nullptr;
}

// Behind the tag. The tag of an element that HTML does not know stays as it is.
const uint8_t* Html::tag(const uint8_t* p, const uint8_t* end, std::string& replacement) const {
  const uint8_t* begin = p++;
  if (p < end && *p == '/') ++p;
  const size_t length = name_at(p, end, kNameLimit);
  if (length == 0) return nullptr;
  std::string name(reinterpret_cast<const char*>(p), length);
  for (char& c : name) c = static_cast<char>(is_digit(static_cast<uint8_t>(c)) ? c : c | 0x20);
  p += length;
  if (p < end && std::strchr("\t\n\r /", *p) != nullptr && *p != 0) {
    ++p;
    for (size_t k = 0; k < kAttributeLimit && p < end && *p != '<' && *p != '>'; ++k) p += length_of(*p);
  }
  if (p >= end || *p != '>') return nullptr;
  ++p;
  if (blocks_.count(name)) {
    replacement = "\n";
  } else if (inlines_.count(name)) {
    replacement.clear();
  } else {
    replacement.assign(reinterpret_cast<const char*>(begin), static_cast<size_t>(p - begin));
  }
  return p;
}

const uint8_t* Html::entity(const uint8_t* p, const uint8_t* end, std::string& replacement) const {
  const uint8_t* begin = p++;
  if (p < end && *p == '#') {
    ++p;
    const bool hexadecimal = p < end && (*p | 0x20) == 'x';
    p += hexadecimal;
    uint32_t point = 0;
    size_t length = 0;
    const size_t limit = hexadecimal ? 6 : 7;
    for (; length < limit && p < end && (hexadecimal ? is_hex(*p) : is_digit(*p)); ++length, ++p) {
      const uint32_t digit = is_digit(*p) ? *p - '0' : (*p | 0x20) - 'a' + 10;
      point = point * (hexadecimal ? 16 : 10) + digit;
    }
    if (length == 0 || p >= end || *p != ';') return nullptr;
    replacement = numeric(point);
    return p + 1;
  }
  const size_t length = name_at(p, end, kEntityLimit);
  if (length == 0 || p + length >= end || p[length] != ';') return nullptr;
  const auto found = entities_.find(std::string(reinterpret_cast<const char*>(p), length));
  p += length + 1;
  if (found != entities_.end()) {
    replacement = found->second;
  } else {
    replacement.assign(reinterpret_cast<const char*>(begin), static_cast<size_t>(p - begin));
  }
  return p;
}

std::string Html::numeric(uint32_t point) const {
  if (point >= 0x80 && point < 0xA0) return numbered_[point - 0x80];
  if (point == 0 || (point >= 0xD800 && point < 0xE000) || point >= kPoints) point = 0xFFFD;
  uint8_t buffer[4];
  const uint8_t* stop = write_point(point, buffer);
  return std::string(reinterpret_cast<const char*>(buffer), static_cast<size_t>(stop - buffer));
}

}  // namespace taixue
