// Personal data by its form. Each matcher is the regular expression of the same name in plain/personal.py.
#include <algorithm>
#include <cstring>

#include "functions.h"
#include "utf8.h"

namespace taixue {
namespace {

using Pointer = const uint8_t*;

enum Kind { kUrl, kEmail, kId, kCard, kMobile, kLandline, kIp };

// Sets of ASCII characters.
enum Set : uint8_t { kDigitSet = 1, kAlpha = 2, kLocal = 4, kDomain = 8, kUrlSet = 16, kUrlEnd = 32 };

struct Sets {
  uint8_t of[256] = {};
  uint8_t kinds[256] = {};  // a bit for each kind that a match of which may begin with this byte
  Sets() {
    for (int c = 0x21; c < 0x7F; ++c) {
      const bool digit = c >= '0' && c <= '9';
      const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      uint8_t sets = 0;
      if (digit) sets |= kDigitSet;
      if (alpha) sets |= kAlpha;
      if (digit || alpha || std::strchr("._%+-", c)) sets |= kLocal;
      if (digit || alpha || c == '-') sets |= kDomain;
      if (!std::strchr("\"<>\\^`{|}", c)) {
        sets |= kUrlSet;
        if (!std::strchr(".,;:!?()'[]*_", c)) sets |= kUrlEnd;
      }
      of[c] = sets;
      unsigned begins = 0;
      if (std::strchr("hHfFwW", c)) begins |= 1u << kUrl;
      if (sets & kLocal) begins |= 1u << kEmail;
      if (digit) begins |= 1u << kId | 1u << kCard | 1u << kMobile | 1u << kLandline | 1u << kIp;
      if (c == '+') begins |= 1u << kMobile;
      if (c == '(') begins |= 1u << kLandline;
      kinds[c] = static_cast<uint8_t>(begins);
    }
    kinds[0xEF] = 1u << kLandline;  // （
  }
};
const Sets kSets;

inline bool in(uint8_t byte, uint8_t set) { return (kSets.of[byte] & set) != 0; }

// Length of the run of characters of the set at p, at most `most`.
ptrdiff_t run_of(Pointer p, Pointer end, uint8_t set, ptrdiff_t most) {
  ptrdiff_t length = 0;
  while (length < most && p + length < end && in(p[length], set)) ++length;
  return length;
}

// Length of the whole run of digits at p, counted up to 20.
ptrdiff_t digits_at(Pointer p, Pointer end) { return run_of(p, end, kDigitSet, 20); }

bool starts_with(Pointer p, Pointer end, const char* word, bool any_case = false) {
  for (; *word; ++word, ++p) {
    if (p == end || (any_case && in(*p, kAlpha) ? (*p | 0x20) : *p) != static_cast<uint8_t>(*word)) return false;
  }
  return true;
}

class Scanner {
 public:
  Scanner(const Text& text, unsigned kinds) : begin_(text.data), end_(text.end()), kinds_(kinds) {
    if (!text.size || !std::memchr(text.data, '@', text.size)) kinds_ &= ~(1u << kEmail);
  }

  // The next match at or after p: [p, stop) of a kind. False when there is none.
  bool next(Pointer& p, Pointer& stop, int& kind) const {
    while ((p = candidate(p)) < end_) {
      const unsigned kinds = kinds_ & kSets.kinds[*p];
      for (kind = 0; kinds >> kind; ++kind) {
        if ((kinds >> kind & 1) == 0) continue;
        stop = match(p, kind);
        if (stop != nullptr) return true;
      }
      ++p;
    }
    return false;
  }

  static bool passes_luhn(Pointer begin, Pointer stop) {
    int sum = 0;
    bool twice = false;
    for (Pointer p = stop; p-- > begin; twice = !twice) {
      const int digit = (*p - '0') << (twice ? 1 : 0);
      sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
  }

 private:
  // The next place at or after p where a match may begin. Eight bytes at a time where there is neither ASCII nor 0xEF.
  Pointer candidate(Pointer p) const {
    constexpr uint64_t kHigh = 0x8080808080808080u, kOnes = 0x0101010101010101u;
    while (p < end_) {
      uint64_t word;
      if (end_ - p >= 8) {
        std::memcpy(&word, p, 8);
        const uint64_t other = word ^ 0xEFEFEFEFEFEFEFEFu;  // a byte is 0 where 0xEF was
        if ((word & kHigh) == kHigh && ((other - kOnes) & ~other & kHigh) == 0) {
          p += 8;
          continue;
        }
      }
      const Pointer stop = p + std::min<ptrdiff_t>(8, end_ - p);
      for (; p < stop; ++p) {
        if (kinds_ & kSets.kinds[*p]) return p;
      }
    }
    return end_;
  }

  Pointer match(Pointer p, int kind) const {
    switch (kind) {
      case kUrl: return url(p);
      case kEmail: return email(p);
      case kId: return id(p);
      case kCard: return card(p);
      case kMobile: return mobile(p);
      case kLandline: return landline(p);
      default: return ip(p);
    }
  }

  bool after(Pointer p, uint8_t set) const { return p > begin_ && in(p[-1], set); }
  bool at(Pointer p, uint8_t set) const { return p < end_ && in(*p, set); }

  Pointer url(Pointer p) const {
    if (!in(*p, kAlpha) || after(p, kAlpha | kDigitSet)) return nullptr;
    static const char* const kPrefixes[] = {"http://", "https://", "ftp://", "www."};
    for (const char* prefix : kPrefixes) {
      if (!starts_with(p, end_, prefix, true)) continue;
      const Pointer least = p + std::strlen(prefix);
      Pointer stop = least + run_of(least, end_, kUrlSet, end_ - least);
      while (stop > least && !in(stop[-1], kUrlEnd)) --stop;
      return stop > least ? stop : nullptr;
    }
    return nullptr;
  }

  Pointer email(Pointer p) const {
    if (!in(*p, kLocal) || after(p, kLocal)) return nullptr;
    p += run_of(p, end_, kLocal, 64);
    if (p == end_ || *p != '@') return nullptr;
    Pointer stop = nullptr;
    // Labels of the domain; it ends with the last one that can be a top-level domain.
    for (bool first = true; first || (p < end_ && *p == '.'); first = false) {
      const Pointer label = p + 1;
      const ptrdiff_t length = run_of(label, end_, kDomain, 64);
      if (length < 1 || length > 63) break;
      p = label + length;
      if (!first && length >= 2 && length <= 24 && run_of(label, end_, kAlpha, length) == length) stop = p;
    }
    return stop;
  }

  Pointer id(Pointer p) const {
    if (!at(p, kDigitSet) || *p == '0' || after(p, kDigitSet)) return nullptr;
    if (end_ - p < 18 || digits_at(p, p + 17) < 17) return nullptr;
    const auto number = [p](int k) { return (p[k] - '0') * 10 + p[k + 1] - '0'; };
    const int century = number(6), month = number(10), day = number(12);
    if (century < 18 || century > 20 || month < 1 || month > 12 || day < 1 || day > 31) return nullptr;
    if (!in(p[17], kDigitSet) && p[17] != 'X' && p[17] != 'x') return nullptr;
    return at(p + 18, kDigitSet | kAlpha) ? nullptr : p + 18;
  }

  Pointer card(Pointer p) const {
    if (!at(p, kDigitSet) || after(p, kDigitSet)) return nullptr;
    const ptrdiff_t length = digits_at(p, end_);
    const bool unionpay = length >= 16 && length <= 19 && p[0] == '6' && p[1] == '2';
    const bool other = length == 16 && (*p == '4' || *p == '5');
    return unionpay || other ? p + length : nullptr;
  }

  Pointer mobile(Pointer p) const {
    if (after(p, kDigitSet)) return nullptr;
    Pointer q = p + (*p == '+');
    if (starts_with(q, end_, "86")) {
      q += 2;
      q += q < end_ && (*q == '-' || *q == ' ');
    } else if (q != p) {
      return nullptr;
    }
    if (end_ - q < 11 || q[0] != '1' || q[1] < '3' || q[1] > '9' || !in(q[2], kDigitSet)) return nullptr;
    q += 3;
    const uint8_t separator = *q == '-' || *q == ' ' ? *q : 0;
    for (int group = 0; group < 2; ++group) {
      if (separator && (q == end_ || *q++ != separator)) return nullptr;
      if (run_of(q, end_, kDigitSet, 4) < 4) return nullptr;
      q += 4;
    }
    return at(q, kDigitSet) ? nullptr : q;
  }

  Pointer landline(Pointer p) const {
    if (after(p, kDigitSet)) return nullptr;
    const char *open = "", *close = "";
    if (*p == '(') {
      open = "(";
      close = ")";
    } else if (*p == 0xEF) {
      open = "（";
      close = "）";
    }
    if (!starts_with(p, end_, open)) return nullptr;
    Pointer q = p + std::strlen(open);
    const ptrdiff_t area = digits_at(q, end_);
    if (area < 3 || area > 4 || *q != '0') return nullptr;
    q += area;
    if (!starts_with(q, end_, close)) return nullptr;
    q += std::strlen(close);
    const bool separated = q < end_ && (*q == '-' || *q == ' ');
    if (!separated && !*close) return nullptr;
    q += separated;
    const ptrdiff_t length = digits_at(q, end_);
    if (length < 7 || length > 8 || *q == '0') return nullptr;
    q += length;
    if (q < end_ && *q == '-') {
      const ptrdiff_t extension = digits_at(q + 1, end_);
      if (extension >= 1 && extension <= 5) q += 1 + extension;
    }
    return q;
  }

  Pointer ip(Pointer p) const {
    if (!at(p, kDigitSet) || (p > begin_ && p[-1] == '.') || after(p, kDigitSet)) return nullptr;
    for (int octet = 0; octet < 4; ++octet) {
      if (octet > 0 && (p == end_ || *p++ != '.')) return nullptr;
      const ptrdiff_t length = digits_at(p, end_);
      if (length < 1 || length > 3 || (length > 1 && *p == '0')) return nullptr;
      int value = 0;
      for (ptrdiff_t k = 0; k < length; ++k) value = value * 10 + p[k] - '0';
      if (value > 255) return nullptr;
      p += length;
    }
    return p < end_ && *p == '.' && at(p + 1, kDigitSet) ? nullptr : p;
  }

  Pointer begin_, end_;
  unsigned kinds_;
};

}  // namespace

Masked mask_personal(const Texts& texts, unsigned kinds, const std::vector<std::string>& placeholders,
                     int64_t* counts) {
  Masked out;
  for (const Text& text : texts) {
    const Scanner scanner(text, kinds);
    std::string masked;
    Pointer copied = text.data, p = text.data, stop = nullptr;
    bool changed = false;
    for (int kind; scanner.next(p, stop, kind); p = stop) {
      if (kind == kCard && !Scanner::passes_luhn(p, stop)) continue;
      masked.append(reinterpret_cast<const char*>(copied), static_cast<size_t>(p - copied));
      masked += placeholders[static_cast<size_t>(kind)];
      copied = stop;
      changed = true;
      ++counts[kind];
    }
    if (changed) masked.append(reinterpret_cast<const char*>(copied), static_cast<size_t>(text.end() - copied));
    out.texts.push_back(std::move(masked));
    out.changed.push_back(changed);
    counts += kPersonalKinds;
  }
  return out;
}

}  // namespace taixue
