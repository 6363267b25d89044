// Remnants of HTML in a text: entities and tags.
#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "texts.h"

namespace taixue {

class Html {
 public:
  // entities without & and ;, elements in lower case; numbered: the 32 characters that &#128; ... &#159; mean.
  Html(std::unordered_map<std::string, std::string> entities, std::vector<std::string> numbered,
       std::unordered_set<std::string> blocks, std::unordered_set<std::string> inlines);

  // Whether anything changed; out is only then written.
  bool run(const Text& text, std::string& out) const;

 private:
  const uint8_t* comment(const uint8_t* p, const uint8_t* end) const;
  const uint8_t* tag(const uint8_t* p, const uint8_t* end, std::string& replacement) const;
  const uint8_t* entity(const uint8_t* p, const uint8_t* end, std::string& replacement) const;
  std::string numeric(uint32_t point) const;

  std::unordered_map<std::string, std::string> entities_;
  std::vector<std::string> numbered_;
  std::unordered_set<std::string> blocks_, inlines_;
};

}  // namespace taixue
