#include "utf8.h"

#include <cstring>

#include "texts.h"

namespace taixue {

// Whether the bytes [3, size) are what those before them ask for; every byte alone, so that vector units can do many at
// a time. Which bytes follow the last is not looked at.
TAIXUE_CLONES
static bool fit(const uint8_t* p, size_t size) {
  uint8_t bad = 0;
  for (size_t k = 3; k < size; ++k) {
    const uint8_t byte = p[k], before = p[k - 1];
    const uint8_t is_wanted = (before >= 0xC0) | (p[k - 2] >= 0xE0) | (p[k - 3] >= 0xF0);
    bad |= ((byte & 0xC0) == 0x80) ^ is_wanted;
    bad |= (byte == 0xC0) | (byte == 0xC1) | (byte >= 0xF5);  // too short a number for two bytes, too large for any
    bad |= ((before == 0xE0) & (byte < 0xA0)) | ((before == 0xED) & (byte >= 0xA0));
    bad |= ((before == 0xF0) & (byte < 0x90)) | ((before == 0xF4) & (byte >= 0x90));
  }
  return bad == 0;
}

bool is_valid_utf8(const uint8_t* p, size_t size) {
  uint8_t edge[9] = {};  // zeros around the first bytes, and around the last
  if (size < 3) {
    std::memcpy(edge + 3, p, size);
    return fit(edge, 9);
  }
  std::memcpy(edge + 3, p, 3);
  if (!fit(edge, 6)) return false;
  std::memcpy(edge + 3, p + size - 3, 3);
  return fit(p, size) && edge[5] < 0xC0 && edge[4] < 0xE0 && edge[3] < 0xF0;
}

}  // namespace taixue
