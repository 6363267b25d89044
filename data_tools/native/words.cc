#include "words.h"

#include <algorithm>
#include <stdexcept>

#include "utf8.h"

namespace taixue {
namespace {

constexpr double kNever = -3.14e100;
constexpr size_t kFar = 32, kNear = 16;  // characters ahead
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

}  // namespace

struct WordCutter::Span {
  const uint32_t* points;
  const uint16_t* classes;  // 0 for what is no part of a block, and behind the last
  Scratch& scratch;
  std::vector<Word>& words;
};

WordCutter::WordCutter(const std::string& dictionary, const std::vector<std::string>& tags,
                       const std::vector<char32_t>& characters, const std::vector<std::array<double, 4>>& emissions,
                       const std::array<double, 4>& start, const std::array<std::array<double, 4>, 4>& transitions,
                       const std::u32string& surnames, const std::array<uint8_t, 5>& unknown_tags)
    : class_of_(kPoints, 0),
      is_block_(kPoints),
      start_(start),
      transitions_(transitions),
      is_surname_(kPoints, false),
      unknown_tags_(unknown_tags) {
  if (characters.size() != emissions.size()) {
    throw std::invalid_argument("characters and emissions do not fit together");
  }
  for (uint32_t point = 0; point < kPoints; ++point) is_block_[point] = is_block(point);
  read(dictionary, tags, characters);
  for (const char32_t point : surnames) is_surname_[point] = true;
  emissions_.resize(roots_.size(), {kNever, kNever, kNever, kNever});
  for (size_t k = 0; k < characters.size(); ++k) emissions_[class_of_[characters[k]]] = emissions[k];
}

uint16_t WordCutter::entry_of(const Span& text, size_t begin, size_t end) const {
  const Cell* cell = &roots_[class_of_[text.points[begin]]];
  for (size_t k = begin + 1; k < end; ++k) {
    cell = &cells_[static_cast<size_t>(cell->base) + text.classes[k]];
    if (cell->label != text.classes[k]) return 0;
  }
  return cell->entry;
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
  emit(text, begin, end, entry_of(text, begin, end));
}

void WordCutter::emit(const Span& text, size_t begin, size_t end, uint16_t entry) const {
  const uint8_t tag = entry != 0 ? tags_[entry] : unknown_tag(text.points + begin, end - begin);
  Word& word = text.words.emplace_back();  // its members one by one: a whole one would wait for both to be stored
  word.begin = static_cast<uint32_t>(begin);
  word.tag = tag;
}

void WordCutter::cut(const uint32_t* points, size_t count, Scratch& scratch, std::vector<Word>& words) const {
  words.clear();
  if (scratch.classes.size() < count + 3) {
    scratch.classes.resize(count + count / 2 + 3);
    scratch.steps.resize(count + count / 2 + 3);
  }
  uint16_t* classes = scratch.classes.data();
  std::fill_n(classes + count, 3, uint16_t{0});
  for (size_t k = 0; k < count; ++k) classes[k] = is_block_[points[k]] ? class_of_[points[k]] : uint16_t{0};
  const Span text{points, classes, scratch, words};
  find_best_path(text, count);
  for (size_t begin = 0; begin < count;) {
    if (is_block_[points[begin]]) {
      begin = cut_block(text, begin, count);
      continue;
    }
    size_t end = begin + 1;
    if (points[begin] == '\r' && end < count && points[end] == '\n') ++end;
    emit(text, begin, end);
    begin = end;
  }
}

// From right to left, the path of greatest probability from each place to the end of its block.
void WordCutter::find_best_path(const Span& text, size_t count) const {
  Scratch::Step* steps = text.scratch.steps.data();
  std::fill_n(steps + count, 3, Scratch::Step{0, 0, 1});
  const double* scores = scores_.data();
  for (size_t at = count; at-- > 0;) {
#ifdef __GNUC__
    // The trie is larger than the cache: of walks that begin soon, the second and then the third cell are sent for.
    // (In a function of its own, which has no effect, GCC would leave it out.)
    const uint16_t* far = text.classes + (at < kFar ? 0 : at - kFar);
    const uint16_t* near = text.classes + (at < kNear ? 0 : at - kNear);
    __builtin_prefetch(&cells_[static_cast<size_t>(roots_[far[0]].base) + far[1]]);
    const Cell& second = cells_[static_cast<size_t>(roots_[near[0]].base) + near[1]];
    __builtin_prefetch(&cells_[static_cast<size_t>(second.base) + near[2]]);
#endif
    const uint16_t* classes = text.classes + at;
    Scratch::Step* step = steps + at;
    // Words of one and two characters without a branch, for nobody could predict it.
    const Cell one = roots_[classes[0]];
    const Cell two = cells_[static_cast<size_t>(one.base) + classes[1]];
    const uint32_t goes_on = two.label == classes[1], entry = two.entry & (0 - goes_on);
    const double single = scores[one.entry] + step[1].score, pair = scores[entry] + step[2].score;
    const uint32_t is_pair = (entry != 0) & (pair >= single);
    const uint32_t chosen = one.entry ^ ((one.entry ^ entry) & (0 - is_pair));
    const double greater = pair > single ? pair : single;
    Scratch::Step best{greater, static_cast<uint16_t>(chosen), static_cast<uint16_t>(1 + is_pair)};
    // Of a node without children the base is 0, and no cell has its own place as its label.
    Cell cell = cells_[(static_cast<uint32_t>(two.base) & (0 - goes_on)) + classes[2]];
    for (size_t length = 3; cell.label == classes[length - 1]; ++length) {  // no class behind the end
      const double candidate = scores[cell.entry] + step[length].score;
      if (cell.entry != 0 && candidate >= best.score) best = {candidate, cell.entry, static_cast<uint16_t>(length)};
      cell = cells_[static_cast<size_t>(cell.base) + classes[length]];
    }
    if (best.entry == 0) best.score = single_ + step[1].score;
    if (!is_block_[text.points[at]]) best.score = 0;
    *step = best;
  }
}

// Along the best path; between its words of several characters, runs of single ones are cut again. Returns where the
// block ends, at count at the latest; no word of the path goes on behind it.
size_t WordCutter::cut_block(const Span& text, size_t begin, size_t count) const {
  const Scratch::Step* steps = text.scratch.steps.data();
  size_t pending = begin;
  const auto cut_pending = [&](size_t to) {
    if (to == pending + 1) emit(text, pending, to, steps[pending].entry);
    if (to > pending + 1) cut_unknown(text, pending, to);
  };
  size_t at = begin;
  while (at < count && is_block_[text.points[at]]) {
    const size_t length = steps[at].length;
    if (length > 1) {
      cut_pending(at);
      emit(text, at, at + length, steps[at].entry);
      pending = at + length;
    }
    at += length;
  }
  cut_pending(at);
  return at;
}

void WordCutter::cut_unknown(const Span& text, size_t begin, size_t end) const {
  if (entry_of(text, begin, end) != 0) {  // a word, and yet less likely than its characters
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
  auto& from = text.scratch.from;
  if (from.size() < count) from.resize(count);
  std::array<double, 4> now;
  const auto& first = emissions_[text.classes[begin]];
  for (int state = 0; state < 4; ++state) now[state] = start_[state] + first[state];
  for (size_t k = 1; k < count; ++k) {
    const auto& emission = emissions_[text.classes[begin + k]];
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
  auto& begins = text.scratch.begins;
  if (begins.size() < count) begins.resize(count);
  int state = now[kSingle] > now[kEnd] ? kSingle : kEnd;
  for (size_t k = count; k-- > 0;) {
    begins[k] = state == kBegin || state == kSingle;
    state = from[k][state];
  }
  for (size_t at = 0; at < count;) {
    size_t to = at + 1;
    while (to < count && !begins[to]) ++to;
    emit(text, begin + at, begin + to);
    at = to;
  }
}

}  // namespace taixue
