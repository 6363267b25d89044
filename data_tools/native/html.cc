#include "html.h"

#include <algorithm>
#include <cstring>

#include "utf8.h"

namespace taixue {
namespace {

constexpr ptrdiff_t kNameLimit = 16, kEntityLimit = 32, kAttributeLimit = 64, kValueLimit = 16384;
constexpr ptrdiff_t kDeclarationLimit = 1000;
constexpr int kMostAttributes = 64;

bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
bool is_alpha(uint8_t c) { return ((c | 0x20) >= 'a') && ((c | 0x20) <= 'z'); }
bool is_hex(uint8_t c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
bool is_space(uint8_t c) { return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' '; }
bool is_separator(uint8_t c) { return is_space(c) || c == '/'; }
bool starts_attribute(uint8_t c) { return is_alpha(c) || c == '_' || c == ':' || c == '@'; }
bool is_in_attribute(uint8_t c) { return starts_attribute(c) || is_digit(c) || c == '-' || c == '.'; }
bool is_in_value(uint8_t c) {
  return !is_space(c) && c != '"' && c != '\'' && c != '=' && c != '<' && c != '>' && c != '`';
}
bool is_in_declaration(uint8_t c) { return c != '<' && c != '>'; }

template <typename Is>
const uint8_t* skip(const uint8_t* p, const uint8_t* end, Is is) {
  while (p < end && is(*p)) ++p;
  return p;
}

const uint8_t* at_most(const uint8_t* p, const uint8_t* end, ptrdiff_t limit) {
  return end - p > limit ? p + limit : end;
}

// A name: a letter, then letters and digits, at most `limit`.
const uint8_t* name_end(const uint8_t* p, const uint8_t* end, ptrdiff_t limit) {
  if (p == end || !is_alpha(*p)) return p;
  return skip(p, at_most(p, end, limit), [](uint8_t c) { return is_alpha(c) || is_digit(c); });
}

std::string lower(const uint8_t* p, const uint8_t* end) {
  std::string out(reinterpret_cast<const char*>(p), static_cast<size_t>(end - p));
  for (char& c : out) c = static_cast<char>(is_alpha(static_cast<uint8_t>(c)) ? c | 0x20 : c);
  return out;
}

// `word` is in lower case.
bool starts_with(const uint8_t* p, const uint8_t* end, const char* word) {
  for (; *word != 0; ++word, ++p) {
    if (p == end || (is_alpha(*p) ? *p | 0x20 : *p) != *word) return false;
  }
  return true;
}

// Behind <!DOCTYPE ...> or <?xml ...>.
const uint8_t* declaration(const uint8_t* p, const uint8_t* end) {
  const size_t length = starts_with(p, end, "<!doctype") ? 9 : starts_with(p, end, "<?xml") ? 5 : 0;
  if (length == 0 || p + length == end || !is_space(p[length])) return nullptr;
  p += length + 1;
  p = skip(p, at_most(p, end, kDeclarationLimit), is_in_declaration);
  return p < end && *p == '>' ? p + 1 : nullptr;
}

const uint8_t* comment_end(const uint8_t* p, const uint8_t* end) {
  while (p < end && (p = static_cast<const uint8_t*>(std::memchr(p, '-', static_cast<size_t>(end - p))))) {
    if (end - p < 3) return nullptr;
    if (p[1] == '-' && p[2] == '>') return p + 3;
    ++p;
  }
  return nullptr;
}

// Behind = and a value; nullptr where there is none.
const uint8_t* value_end(const uint8_t* p, const uint8_t* end) {
  p = skip(p, end, is_space);
  if (p == end || *p != '=') return nullptr;
  p = skip(p + 1, end, is_space);
  if (p == end) return nullptr;
  if (*p == '"' || *p == '\'') {
    const uint8_t quote = *p++;
    const uint8_t* stop = at_most(p, end, kValueLimit + 1);
    const void* found = std::memchr(p, quote, static_cast<size_t>(stop - p));
    return found == nullptr ? nullptr : static_cast<const uint8_t*>(found) + 1;
  }
  const uint8_t* stop = skip(p, at_most(p, end, kValueLimit), is_in_value);
  return stop == p ? nullptr : stop;
}

// Where each element is closed last.
std::unordered_map<std::string, const uint8_t*> closings(const Text& text) {
  std::unordered_map<std::string, const uint8_t*> out;
  const uint8_t *p = text.data, *end = text.end();
  while (p < end && (p = static_cast<const uint8_t*>(std::memchr(p, '<', static_cast<size_t>(end - p))))) {
    const uint8_t* begin = p++;
    if (p == end || *p != '/') continue;
    const uint8_t* stop = name_end(p + 1, end, kNameLimit);
    if (stop == p + 1) continue;
    const uint8_t* last = skip(stop, end, is_space);
    if (last < end && *last == '>') out[lower(p + 1, stop)] = begin;
  }
  return out;
}

}  // namespace

Html::Html(std::unordered_map<std::string, std::string> entities, std::vector<std::string> numbered, Words blocks,
           Words inlines, Words plain, Words flags)
    : entities_(std::move(entities)),
      numbered_(std::move(numbered)),
      blocks_(std::move(blocks)),
      inlines_(std::move(inlines)),
      plain_(std::move(plain)),
      flags_(std::move(flags)) {}

bool Html::run(const Text& text, std::string& out) const {
  bool started = false;
  Seen seen;
  std::string replacement;
  const uint8_t* copied = text.data;
  for (const uint8_t* p = text.data; p < text.end();) {
    if (*p != '<' && *p != '&') {
      ++p;
      continue;
    }
    const uint8_t* stop =
        *p == '&' ? entity(p, text.end(), replacement) : markup(p, text, seen, replacement);
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

const uint8_t* Html::markup(const uint8_t* p, const Text& text, Seen& seen, std::string& replacement) const {
  const uint8_t* end = text.end();
  replacement.clear();
  if (starts_with(p, end, "<!--")) {
    const uint8_t* stop = seen.no_more_comments ? nullptr : comment_end(p + 4, end);
    seen.no_more_comments = stop == nullptr;
    return stop;
  }
  if (const uint8_t* stop = declaration(p, end)) return stop;
  const bool is_closing = ++p < end && *p == '/';
  p += is_closing;
  const uint8_t* stop = name_end(p, end, kNameLimit);
  if (stop == p) return nullptr;
  const std::string name = lower(p, stop);
  const bool is_block = blocks_.count(name) != 0;
  if (!is_block && inlines_.count(name) == 0) return nullptr;
  bool is_certain = false;
  stop = rest_of_tag(stop, end, is_closing, is_certain);
  if (stop != nullptr && !is_certain && plain_.count(name) == 0) {
    if (!seen.closings_known) seen.last_closing = closings(text);
    seen.closings_known = true;
    const auto found = seen.last_closing.find(name);
    if (found == seen.last_closing.end() || found->second < stop) return nullptr;
  }
  if (is_block) replacement = "\n";
  return stop;
}

// is_certain: nothing but a tag looks like this.
const uint8_t* Html::rest_of_tag(const uint8_t* p, const uint8_t* end, bool is_closing, bool& is_certain) const {
  for (int attributes = 0;; ++attributes) {
    const uint8_t* begin = skip(p, end, is_separator);
    if (begin == end) return nullptr;
    if (*begin == '>') {
      is_certain = is_closing || attributes > 0 || (begin > p && begin[-1] == '/');
      return begin + 1;
    }
    const bool is_glued = begin == p && attributes == 0;
    if (is_closing || is_glued || attributes == kMostAttributes || !starts_attribute(*begin)) return nullptr;
    p = skip(begin, at_most(begin, end, kAttributeLimit), is_in_attribute);
    const uint8_t* stop = value_end(p, end);
    if (stop == nullptr && flags_.count(lower(begin, p)) == 0) return nullptr;
    if (stop != nullptr) p = stop;
  }
}

const uint8_t* Html::entity(const uint8_t* p, const uint8_t* end, std::string& replacement) const {
  ++p;
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
  const uint8_t* stop = name_end(p, end, kEntityLimit);
  if (stop == p || stop >= end || *stop != ';') return nullptr;
  const auto found = entities_.find(std::string(p, stop));
  if (found == entities_.end()) return nullptr;
  replacement = found->second;
  return stop + 1;
}

std::string Html::numeric(uint32_t point) const {
  if (point >= 0x80 && point < 0xA0) return numbered_[point - 0x80];
  if (point == 0 || (point >= 0xD800 && point < 0xE000) || point >= kPoints) point = 0xFFFD;
  uint8_t buffer[4];
  const uint8_t* stop = write_point(point, buffer);
  return std::string(reinterpret_cast<const char*>(buffer), static_cast<size_t>(stop - buffer));
}

}  // namespace taixue
