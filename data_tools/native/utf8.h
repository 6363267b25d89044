// UTF-8, one character at a time. Everything here expects valid input; texts.h checks it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace taixue {

constexpr uint32_t kPoints = 0x110000;  // code points of Unicode

// Reads the character at p and returns what follows it.
inline const uint8_t* decode(const uint8_t* p, uint32_t& point) {
  const uint32_t first = p[0];
  if (first < 0x80) {
    point = first;
    return p + 1;
  }
  if (first >= 0xE0 && first < 0xF0) {  // before the rarer two bytes: Chinese is here
    point = (first & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    return p + 3;
  }
  if (first < 0xE0) {
    point = (first & 0x1F) << 6 | (p[1] & 0x3Fu);
    return p + 2;
  }
  point = (first & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
  return p + 4;
}

// Writes a character (at most four bytes) and returns what follows it.
inline uint8_t* write_point(uint32_t point, uint8_t* out) {
  if (point < 0x80) {
    *out++ = static_cast<uint8_t>(point);
  } else if (point < 0x800) {
    *out++ = static_cast<uint8_t>(0xC0 | point >> 6);
    *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    *out++ = static_cast<uint8_t>(0xE0 | point >> 12);
    *out++ = static_cast<uint8_t>(0x80 | (point >> 6 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
  } else {
    *out++ = static_cast<uint8_t>(0xF0 | point >> 18);
    *out++ = static_cast<uint8_t>(0x80 | (point >> 12 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (point >> 6 & 0x3F));
    *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
  }
  return out;
}

// Bytes of the character that starts with this byte.
inline size_t length_of(uint8_t first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

inline bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// Whether it is UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF.
bool is_valid_utf8(const uint8_t* p, size_t size);

}  // namespace taixue
