// Compatibility forms, control characters and white space, in one pass over a text.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "characters.h"
#include "texts.h"

namespace taixue {

// What becomes of one character. The lower 24 bits of an entry are its argument.
enum Action : uint32_t { kCopy, kSpaceRun, kNewline, kReturn, kDrop, kReplace, kJoining };

class Normalizer {
 public:
  // actions: one per code point, action << 24 | argument; kReplace: index into replacements, whose characters are
  // taken as if they stood in the text.
  Normalizer(std::vector<uint32_t> actions, std::vector<std::string> replacements, bool whitespace);

  enum class Outcome : char { kSame, kChanged, kNeedsWhole };
  // kNeedsWhole: a character may combine with the one before it, which takes the whole algorithm.
  Outcome run(const Text& text, std::string& out) const;

 private:
  class Writer;
  bool put(const uint8_t* p, size_t length, uint32_t entry, Writer& writer) const;

  const uint8_t* kept(const uint8_t* p, const uint8_t* end) const;

  std::vector<uint32_t> actions_;
  std::array<bool, 1024> stays_{};  // by the first two bytes of a character of three: whether all of them are kCopy
  std::vector<std::string> replacements_;
  bool whitespace_;
};

}  // namespace taixue
