// Entries of the character table that plain/characters.py makes: class in the low four bits, properties above.
#pragma once
#include <cstdint>
#include <vector>

namespace taixue {

enum Class : uint8_t {
  kOther, kHanzi, kLatin, kDigit, kPunctuation, kSymbol, kSpace, kKana, kHangul, kLetter, kControl, kMark
};
constexpr int kClasses = 16;
enum Property : uint8_t { kTraditional = 0x10, kEndsSentence = 0x20, kBullet = 0x40, kWord = 0x80 };

// 0x110000 entries.
using CharacterTable = std::vector<uint8_t>;

inline bool is_space(uint8_t entry) { return (entry & 15) == kSpace; }

}  // namespace taixue
