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
  using Words = std::unordered_set<std::string>;

  // entities without & and ;, elements and flags in lower case; numbered: the 32 characters that &#128; ... &#159;
  // mean; plain and flags: see PLAIN and FLAGS in plain/rules.py.
  Html(std::unordered_map<std::string, std::string> entities, std::vector<std::string> numbered, Words blocks,
       Words inlines, Words plain, Words flags);

  // Whether anything changed; out is only then written.
  bool run(const Text& text, std::string& out) const;

 private:
  // What is known of a text once it was asked for.
  struct Seen {
    bool no_more_comments = false, closings_known = false;
    std::unordered_map<std::string, const uint8_t*> last_closing;  // by element
  };

  // Each gives what follows, with what takes its place; nullptr where there is none.
  const uint8_t* markup(const uint8_t* p, const Text& text, Seen& seen, std::string& replacement) const;
  const uint8_t* rest_of_tag(const uint8_t* p, const uint8_t* end, bool is_closing, bool& is_certain) const;
  const uint8_t* entity(const uint8_t* p, const uint8_t* end, std::string& replacement) const;
  std::string numeric(uint32_t point) const;

  std::unordered_map<std::string, std::string> entities_;
  std::vector<std::string> numbered_;
  Words blocks_, inlines_, plain_, flags_;
};

}  // namespace taixue
