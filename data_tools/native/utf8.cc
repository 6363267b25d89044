#include "utf8.h"

#include <cstring>

namespace taixue {

// Bytes of the valid character at p, 0 when there is none.
static size_t valid_length(const uint8_t* p, size_t left) {
  const size_t length = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
  if (length == 0 || length > left) return 0;
  for (size_t k = 1; k < length; ++k) {
    if (!is_continuation(p[k])) return 0;
  }
  uint32_t point;
  decode(p, point);
  if (length == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) return 0;
  if (length == 4 && (point < 0x10000 || point >= kPoints)) return 0;
  return length;
}

bool is_valid_utf8(const uint8_t* p, size_t size) {
  const uint8_t* end = p + size;
  while (p < end) {
    // Most of what is not ASCII: three bytes with no exception among them, U+1000 to U+CFFF.
    while (end - p >= 4 && static_cast<uint8_t>(p[0] - 0xE1) <= 0xEC - 0xE1) {
      uint32_t three;
      std::memcpy(&three, p, 4);
      if ((three & 0xC0C000) != 0x808000) return false;
      p += 3;
    }
    if (p == end) return true;
    uint64_t word;
    if (end - p >= 8 && (std::memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) {
      p += 8;
      continue;
    }
    const size_t length = valid_length(p, static_cast<size_t>(end - p));
    if (length == 0) return false;
    p += length;
  }
  return true;
}

}  // namespace taixue
