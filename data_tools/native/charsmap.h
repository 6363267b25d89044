// The precompiled_charsmap of a spiece.model: a double array (Darts) over UTF-8 bytes and replacements as C strings.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace taixue {

class Charsmap {
 public:
  // std::invalid_argument when the blob is damaged. An empty blob has no rules.
  explicit Charsmap(const std::string& blob);

  struct Rule {
    size_t length = 0;  // bytes of text it takes; 0: no rule fits
    const char* replacement = "";
  };
  Rule longest(const uint8_t* p, const uint8_t* end) const;

  // Characters that follow the first one in some rule that starts with the character [p, p + length).
  std::vector<uint32_t> continuations(const uint8_t* p, size_t length) const;

 private:
  static uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }
  // Moves along one byte; false when there is no way.
  bool step(uint32_t& node, uint8_t byte) const;
  void collect(uint32_t node, std::string& path, std::vector<uint32_t>& found) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace taixue
