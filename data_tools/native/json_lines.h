// The text field of lines of JSON.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "characters.h"
#include "texts.h"

namespace taixue {

struct JsonTexts {
  Texts texts;          // in the block where nothing was escaped, else in `unescaped`
  std::string unescaped;
  std::vector<std::array<int64_t, 4>> others;  // number of the line, its first byte, last + 1, texts before it
  int64_t lines = 0;
};

// Texts of the lines of a block that are, beyond doubt, a JSON object with a string that is not blank at `field`; of
// several the last. Every other line (longer than limit, not JSON, not UTF-8, no such field, numbers that not all
// parsers read alike, ...) is for a whole parser to judge. The block must outlive the texts.
void json_texts(const Text& block, const std::string& field, size_t limit, const CharacterTable& table, JsonTexts& out);

}  // namespace taixue
