// Hashes of whole texts and of their lines.
#include <algorithm>

#include "functions.h"
#include "hash128.h"
#include "utf8.h"

namespace taixue {

void exact_hash(const Texts& texts, uint64_t* out) {
  for (const Text& text : texts) {
    const Hash128 hash = hash128(text.data, text.size);
    *out++ = hash.first;
    *out++ = hash.second;
  }
}

// The line without white space around it; empty when there is nothing else.
static Text stripped(const uint8_t* begin, const uint8_t* end, const CharacterTable& table) {
  uint32_t point;
  while (begin < end) {
    const uint8_t* next = decode(begin, point);
    if (!is_space(table[point])) break;
    begin = next;
  }
  while (end > begin) {
    const uint8_t* last = end - 1;
    while (is_continuation(*last)) --last;
    decode(last, point);
    if (!is_space(table[point])) break;
    end = last;
  }
  return {begin, static_cast<size_t>(end - begin)};
}

Ragged<std::array<uint64_t, 3>> paragraph_hashes(const Texts& texts, const CharacterTable& table) {
  Ragged<std::array<uint64_t, 3>> out;
  for (const Text& text : texts) {
    const uint8_t* begin = text.data;
    while (true) {
      const auto* found = begin < text.end() ? std::memchr(begin, '\n', static_cast<size_t>(text.end() - begin)) : nullptr;
      const uint8_t* end = found ? static_cast<const uint8_t*>(found) : text.end();
      const Text line = stripped(begin, end, table);
      const Hash128 hash = line.size ? hash128(line.data, line.size) : Hash128{0, 0};
      const auto characters = static_cast<uint64_t>((end - begin) - std::count_if(begin, end, is_continuation));
      out.values.push_back({hash.first, hash.second, characters});
      if (!found) break;
      begin = end + 1;
    }
    out.end_row();
  }
  return out;
}

}  // namespace taixue
