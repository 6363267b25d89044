#include "words.h"

#include <stdexcept>

namespace taixue {
namespace {

constexpr uint32_t kPoints = 0x110000;
constexpr double kNever = -3.14e100;
enum State { kBegin, kMiddle, kEnd, kSingle };

bool is_digit(uint32_t c) { return c - '0' < 10u; }
bool is_alnum(uint32_t c) { return is_digit(c) || (c | 32) - 'a' < 26u; }

// Characters that words are made of.
bool is_hanzi(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2FA1F);
}
bool is_block(uint32_t c) {
  return is_hanzi(c) || is_alnum(c) || c == '+' || c == '#' || c == '&' || c == '.' || c == '_' || c == '%' || c == '-';
}
// Those that the model was made from.
bool is_modelled(uint32_t c) { return c >= 0x4E00 && c <= 0x9FD5; }

uint64_t mixed(uint64_t key) {
  key *= 0x9E3779B97F4A7C15ull;
  return key ^ key >> 29;
}

}  // namespace

struct WordCutter::Span {
  const uint32_t* points;
  uint8_t* starts;
  uint8_t* tags;
};

WordCutter::WordCutter(const std::vector<std::u32string>& words, const std::vector<double>& scores,
                       const std::vector<uint8_t>& tags, double single, const std::vector<char32_t>& characters,
                       const std::vector<std::array<double, 4>>& emissions, const std::array<double, 4>& start,
                       const std::array<std::array<double, 4>, 4>& transitions, const std::u32string& surnames,
                       const std::array<uint8_t, 5>& unknown_tags)
    : slots_(1 << 12),
      present_(kPresent, 0),
      roots_(kPoints, 0),
      single_(single),
      emission_of_(kPoints, 0),
      start_(start),
      transitions_(transitions),
      is_surname_(kPoints, false),
      unknown_tags_(unknown_tags) {
  if (words.size() != scores.size() || words.size() != tags.size() || characters.size() != emissions.size()) {
    throw std::invalid_argument("lists of different lengths");
  }
  for (size_t k = 0; k < words.size(); ++k) {
    uint32_t node = 0;
    for (const char32_t point : words[k]) node = add_child(node, point);
    nodes_[node] = {scores[k], tags[k]};
  }
  for (const char32_t point : surnames) is_surname_[point] = true;
  emissions_.push_back({kNever, kNever, kNever, kNever});
  for (size_t k = 0; k < characters.size(); ++k) {
    emission_of_[characters[k]] = static_cast<uint32_t>(emissions_.size());
    emissions_.push_back(emissions[k]);
  }
}

uint32_t WordCutter::child(uint32_t node, uint32_t point) const {
  if (node == 0) return roots_[point];
  const uint64_t key = (uint64_t{node} << 21 | point) + 1;
  const size_t mask = slots_.size() - 1;
  const uint64_t hash = mixed(key);
  // Most ways end here; a table that stays in the cache says so.
  if (!(present_[hash >> 40 & (kPresent - 1)] >> (hash >> 60 & 7) & 1)) return 0;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    if (slots_[at].key == key) return slots_[at].node;
    if (slots_[at].key == 0) return 0;
  }
}

uint32_t WordCutter::add_child(uint32_t node, uint32_t point) {
  if (point >= kPoints) throw std::invalid_argument("not a character");
  if (const uint32_t found = child(node, point)) return found;
  const auto made = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, -1});
  if (node == 0) {
    roots_[point] = made;
    return made;
  }
  if (nodes_.size() * 2 > slots_.size()) grow();
  const uint64_t key = (uint64_t{node} << 21 | point) + 1;
  const size_t mask = slots_.size() - 1;
  const uint64_t hash = mixed(key);
  present_[hash >> 40 & (kPresent - 1)] |= static_cast<uint8_t>(1u << (hash >> 60 & 7));
  size_t at = hash & mask;
  while (slots_[at].key != 0) at = (at + 1) & mask;
  slots_[at] = {key, made};
  return made;
}

void WordCutter::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.key == 0) continue;
    size_t at = mixed(slot.key) & mask;
    while (slots_[at].key != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

int32_t WordCutter::tag_of(const uint32_t* points, size_t count) const {
  uint32_t node = 0;
  for (size_t k = 0; k < count; ++k) {
    node = child(node, points[k]);
    if (node == 0) return -1;
  }
  return nodes_[node].tag;
}

uint8_t WordCutter::unknown_tag(const uint32_t* points, size_t count) const {
  enum { kNumber, kLatin, kPerson, kNoun, kOther };
  size_t alnum = 0, digits = 0, hanzi = 0;
  for (size_t k = 0; k < count; ++k) {
    alnum += is_alnum(points[k]);
    digits += is_digit(points[k]);
    hanzi += is_hanzi(points[k]);
  }
  if (alnum > 0) return unknown_tags_[alnum == digits ? kNumber : kLatin];
  if (hanzi < count) return unknown_tags_[kOther];
  return unknown_tags_[(count == 2 || count == 3) && is_surname_[points[0]] ? kPerson : kNoun];
}

void WordCutter::emit(const Span& text, size_t begin, size_t end) const {
  emit(text, begin, end, tag_of(text.points + begin, end - begin));
}

void WordCutter::emit(const Span& text, size_t begin, size_t end, int32_t known) const {
  const uint8_t tag = known >= 0 ? static_cast<uint8_t>(known) : unknown_tag(text.points + begin, end - begin);
  text.starts[begin] = 1;
  for (size_t k = begin; k < end; ++k) text.tags[k] = tag;
}

void WordCutter::run(const uint32_t* points, size_t count, uint8_t* starts, uint8_t* tags) const {
  const Span text{points, starts, tags};
  for (size_t begin = 0; begin < count;) {
    size_t end = begin + 1;
    if (is_block(points[begin])) {
      while (end < count && is_block(points[end])) ++end;
      cut_block(text, begin, end);
    } else {
      if (points[begin] == '\r' && end < count && points[end] == '\n') ++end;
      emit(text, begin, end);
    }
    begin = end;
  }
}

// The path of greatest probability through the words of the dictionary; between its words of several characters,
// runs of single ones are cut again.
void WordCutter::cut_block(const Span& text, size_t begin, size_t end) const {
  const size_t count = end - begin;
  static thread_local std::vector<double> best;
  static thread_local std::vector<uint32_t> length;
  static thread_local std::vector<int32_t> tag;  // of the word that the path takes at a place
  best.resize(count + 1);
  length.resize(count + 1);
  tag.resize(count + 1);
  best[count] = 0;
  const uint32_t* points = text.points + begin;
  for (size_t at = count; at-- > 0;) {
    double score = 0;
    uint32_t chosen = 0;
    uint32_t node = 0;
    tag[at] = -1;
    for (size_t to = at; to < count; ++to) {
      node = child(node, points[to]);
      if (node == 0) break;
      const Node& found = nodes_[node];
      if (found.tag < 0) continue;
      const double candidate = found.score + best[to + 1];
      if (chosen == 0 || candidate >= score) {
        score = candidate;
        tag[at] = found.tag;
        chosen = static_cast<uint32_t>(to + 1 - at);
      }
    }
    if (chosen == 0) {
      score = single_ + best[at + 1];
      chosen = 1;
    }
    best[at] = score;
    length[at] = chosen;
  }
  size_t pending = 0;
  const auto cut_pending = [&](size_t to) {
    if (to == pending + 1) emit(text, begin + pending, begin + to, tag[pending]);
    if (to > pending + 1) cut_unknown(text, begin + pending, begin + to);
  };
  for (size_t at = 0; at < count;) {
    if (length[at] == 1) {
      ++at;
      continue;
    }
    cut_pending(at);
    emit(text, begin + at, begin + at + length[at], tag[at]);
    at += length[at];
    pending = at;
  }
  cut_pending(count);
}

void WordCutter::cut_unknown(const Span& text, size_t begin, size_t end) const {
  if (tag_of(text.points + begin, end - begin) >= 0) {  // a word, and yet less likely than its characters
    for (size_t at = begin; at < end; ++at) emit(text, at, at + 1);
    return;
  }
  for (size_t at = begin; at < end;) {
    size_t to = at + 1;
    const uint32_t* points = text.points;
    if (is_modelled(points[at])) {
      while (to < end && is_modelled(points[to])) ++to;
      cut_by_model(text, at, to);
    } else if (is_alnum(points[at])) {
      // Letters and digits, with one more number behind any character (3.14, ABC-123), and a per cent sign.
      while (to < end && is_alnum(points[to])) ++to;
      if (to + 1 < end && !is_modelled(points[to]) && is_digit(points[to + 1])) {
        for (++to; to < end && is_digit(points[to]);) ++to;
      }
      if (to < end && points[to] == '%') ++to;
      emit(text, at, to);
    } else {
      while (to < end && !is_modelled(points[to]) && !is_alnum(points[to])) ++to;
      emit(text, at, to);
    }
    at = to;
  }
}

void WordCutter::cut_by_model(const Span& text, size_t begin, size_t end) const {
  const size_t count = end - begin;
  if (count == 1) return emit(text, begin, end);
  // From which states a state is reached.
  static constexpr int kFrom[4][2] = {{kEnd, kSingle}, {kMiddle, kBegin}, {kBegin, kMiddle}, {kSingle, kEnd}};
  static thread_local std::vector<std::array<uint8_t, 4>> from;
  from.resize(count);
  std::array<double, 4> now;
  const auto& first = emissions_[emission_of_[text.points[begin]]];
  for (int state = 0; state < 4; ++state) now[state] = start_[state] + first[state];
  for (size_t k = 1; k < count; ++k) {
    const auto& emission = emissions_[emission_of_[text.points[begin + k]]];
    std::array<double, 4> next;
    for (int state = 0; state < 4; ++state) {
      const int a = kFrom[state][0], b = kFrom[state][1];
      const double by_a = now[a] + transitions_[a][state] + emission[state];
      const double by_b = now[b] + transitions_[b][state] + emission[state];
      from[k][state] = static_cast<uint8_t>(by_b > by_a ? b : a);
      next[state] = by_b > by_a ? by_b : by_a;
    }
    now = next;
  }
  int state = now[kSingle] > now[kEnd] ? kSingle : kEnd;
  size_t word_end = end;
  for (size_t k = count; k-- > 0;) {
    if (state == kBegin || state == kSingle) {
      emit(text, begin + k, word_end);
      word_end = begin + k;
    }
    state = from[k][state];
  }
  if (word_end > begin) emit(text, begin, word_end);
}

}  // namespace taixue
