// What the annotation says about each input position. Twin: plain/token_tags.py.
#include <vector>

#include "span_windows.h"

namespace taixue {
namespace {

constexpr uint8_t kUnitFlag = 1, kStraddlesFlag = 2, kClauseFlag = 4;
constexpr size_t kPos = 1, kEntity = 2;
constexpr int64_t kIgnored = -100;

}  // namespace

void token_features(const Tagged& tagged, const Features& out) {
  std::vector<int64_t> words(tagged.window), clauses(tagged.window);
  for (size_t row = 0; row < tagged.batch; ++row) {
    const uint8_t* rows = tagged.rows + row * tagged.window * tagged.stride;
    int64_t word = 1, clause = 1;
    for (size_t place = 0; place < tagged.window; ++place) {
      const uint8_t flags = rows[place * tagged.stride];
      words[place] = word += (flags & kUnitFlag) != 0;
      clauses[place] = clause += (flags & kClauseFlag) != 0;
    }
    for (size_t k = row * tagged.length; k < (row + 1) * tagged.length; ++k) {
      const int64_t place = tagged.index[k];
      const bool masked = tagged.masked && tagged.masked[k];
      const bool hidden = place < 0 || (masked && out.hide_tags), alone = place < 0 || (masked && out.hide_groups);
      const uint8_t* tags = rows + (place < 0 ? 0 : place) * tagged.stride;
      out.pos[k] = hidden ? 0 : tags[kPos];
      out.words[k] = alone ? 0 : words[place];
      out.clauses[k] = alone ? 0 : clauses[place];
      if (!out.role) continue;
      for (size_t role = 0; role < 3; ++role) out.role[3 * k + role] = hidden ? 0 : tags[out.roles[role]];
    }
  }
}

void token_labels(const Tagged& tagged, Counted counted, int64_t* pos, int64_t* entity) {
  for (size_t row = 0; row < tagged.batch; ++row) {
    const uint8_t* rows = tagged.rows + row * tagged.window * tagged.stride;
    for (size_t k = row * tagged.length; k < (row + 1) * tagged.length; ++k) {
      const int64_t place = tagged.index[k];
      const uint8_t* tags = rows + (place < 0 ? 0 : place) * tagged.stride;
      const bool counts = place >= 0 && tags[kPos] != 0 && !(tags[0] & kStraddlesFlag) &&
                          (counted == Counted::kAll || (counted == Counted::kMasked && tagged.masked[k]));
      pos[k] = counts ? tags[kPos] : kIgnored;
      entity[k] = counts ? tags[kEntity] : kIgnored;
    }
  }
}

}  // namespace taixue
