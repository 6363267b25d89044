#include "unigram.h"

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "utf8.h"

namespace taixue {
namespace {

enum Type : uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
constexpr float kUnknownPenalty = 10.0f;
// Beyond it SentencePiece subtracts the score from everything that follows, for float32 has few digits.
constexpr float kResetScore = 100000.0f;
constexpr size_t kFar = 32, kNear = 16;  // characters ahead
constexpr size_t kExtra = 3;  // a space in front or behind, and the end of the last walk
constexpr float kUnreached = -std::numeric_limits<float>::infinity();

const uint8_t* bytes_of(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

std::vector<uint32_t> points_of(const std::string& text) {
  std::vector<uint32_t> points;
  for (const uint8_t *p = bytes_of(text), *end = p + text.size(); p < end;) {
    points.emplace_back();
    p = decode(p, points.back());
  }
  return points;
}

int32_t characters_in(const uint8_t* p, const uint8_t* end) {
  return static_cast<int32_t>(std::count_if(p, end, [](uint8_t byte) { return !is_continuation(byte); }));
}

}  // namespace

Unigram::Unigram(const UnigramModel& model)
    : charsmap_(model.charsmap),
      dummy_prefix_(model.add_dummy_prefix),
      trim_(model.remove_extra_whitespaces),
      suffix_(model.whitespace_as_suffix),
      byte_fallback_(model.byte_fallback),
      space_(model.escape_whitespaces ? 0x2581 : ' '),
      forms_(kPoints, 0),
      class_of_(kPoints, 0) {
  add_character(space_);
  add_pieces(model);
  set_normal_forms();
}

void Unigram::add_pieces(const UnigramModel& model) {
  std::vector<DoubleArray::Key> keys;
  std::vector<float> scores;
  float least = FLT_MAX;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const std::string& piece = model.pieces[id];
    const uint8_t type = model.types[id];
    if (!is_valid_utf8(bytes_of(piece), piece.size())) throw std::invalid_argument("a piece is not UTF-8");
    if (type == kNormal) least = std::min(least, model.scores[id]);
    if (type == kUnknown) unknown_ = static_cast<int32_t>(id);
    if (type == kByte) byte_ids_[std::stoi(piece.substr(3, 2), nullptr, 16)] = static_cast<int32_t>(id);
    if ((type != kNormal && type != kUserDefined) || piece.empty()) continue;
    DoubleArray::Key key;
    for (const uint32_t point : points_of(piece)) {
      add_character(point);
      key.push_back(class_of_[point]);
    }
    keys.push_back(std::move(key));
    // A symbol of the user's must win against every piece: its score is not negative.
    const bool user_defined = type == kUserDefined;
    scores.push_back(user_defined ? static_cast<float>(0.1 * (static_cast<int>(piece.size()) - 1)) : model.scores[id]);
    piece_ids_.push_back(static_cast<int32_t>(id));
    if (user_defined) symbols_[points_of(piece)[0]].push_back(piece);
  }
  for (auto& [point, symbols] : symbols_) {
    std::stable_sort(symbols.begin(), symbols.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  }
  unknown_score_ = least - kUnknownPenalty;
  trie_.build(keys, scores);
}

void Unigram::add_character(uint32_t point) {
  if (class_of_[point] != 0) return;
  if (classes_ == 0xFFFF) throw std::invalid_argument("more than 65,534 different characters in the pieces");
  class_of_[point] = static_cast<uint16_t>(classes_++);
}

// One look-up per character replaces the walk through the charsmap, but where a rule takes several characters or
// gives several.
void Unigram::set_normal_forms() {
  if (byte_fallback_) becomes_.assign(kPoints, 0);
  for (uint32_t point = 0; point < kPoints; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    uint8_t text[4];
    const size_t length = static_cast<size_t>(write_point(point, text) - text);
    const Charsmap::Rule rule = charsmap_.longest(text, text + length);
    uint32_t form = 0, result = point;
    if (rule.length > 0) {
      const size_t size = std::strlen(rule.replacement);
      if (size > 0 && length_of(static_cast<uint8_t>(rule.replacement[0])) == size) {
        decode(reinterpret_cast<const uint8_t*>(rule.replacement), result);
      } else {
        form = kSpecial;
      }
    }
    if (symbols_.count(point)) form = kSpecial;
    if (form == 0 && result == ' ') form = kSpaceForm;
    for (const uint32_t second : charsmap_.continuations(text, length)) {
      form |= kMayContinue;
      forms_[second] |= kContinues << kFormShift;
    }
    forms_[point] |= form << kFormShift | class_of_[result];
    if (byte_fallback_) becomes_[point] = result;
  }
}

void Unigram::Scratch::reserve(size_t needed) {
  if (needed <= capacity) return;
  capacity = needed + needed / 2;
  std::unique_ptr<uint16_t[]> wider_classes(new uint16_t[capacity]);
  std::unique_ptr<uint32_t[]> wider_points(new uint32_t[capacity]);
  std::unique_ptr<int32_t[]> wider_origins(new int32_t[capacity]);
  std::copy(classes.get(), classes.get() + count, wider_classes.get());
  std::copy(points.get(), points.get() + count, wider_points.get());
  std::copy(origins.get(), origins.get() + count, wider_origins.get());
  classes = std::move(wider_classes);
  points = std::move(wider_points);
  origins = std::move(wider_origins);
  best.reset(new Best[capacity]);
}

Unigram::Step Unigram::special_step(const uint8_t* p, const uint8_t* end) const {
  uint32_t point;
  const size_t left = static_cast<size_t>(end - p);
  decode(p, point);
  if (const auto found = symbols_.find(point); found != symbols_.end()) {
    for (const std::string& symbol : found->second) {
      if (symbol.size() <= left && std::memcmp(p, symbol.data(), symbol.size()) == 0) {
        return {symbol.size(), symbol.data(), symbol.size()};
      }
    }
  }
  const Charsmap::Rule rule = charsmap_.longest(p, end);
  if (rule.length > 0) return {rule.length, rule.replacement, std::strlen(rule.replacement)};
  const size_t length = length_of(*p);
  return {length, reinterpret_cast<const char*>(p), length};
}

template <bool kStarts>
inline void Unigram::put(uint32_t point, Scratch& scratch) const {
  if (point == ' ') point = space_;
  if (kStarts) scratch.origins[scratch.count] = scratch.origin;
  if (byte_fallback_) scratch.points[scratch.count] = point;
  scratch.classes[scratch.count++] = class_of_[point];
}

template <bool kStarts>
const uint8_t* Unigram::put_step(const uint8_t* p, const uint8_t* end, Scratch& scratch, bool& after_space) const {
  const Step step = special_step(p, end);
  scratch.reserve(scratch.count + step.size + static_cast<size_t>(end - p) + kExtra);
  const auto *q = reinterpret_cast<const uint8_t*>(step.text), *stop = q + step.size;
  while (after_space && q < stop && *q == ' ') ++q;
  if (q < stop) after_space = stop[-1] == ' ';
  while (q < stop) {
    uint32_t point;
    q = decode(q, point);
    put<kStarts>(point, scratch);
  }
  after_space = after_space && trim_;
  if (kStarts) scratch.origin += characters_in(p, p + step.length);
  return p + step.length;
}

// Whether a symbol or a rule of several characters may begin with the character of this entry, before next.
inline bool Unigram::is_special(uint32_t entry, const uint8_t* next, const uint8_t* end) const {
  if (entry & kSpecial << kFormShift) return true;
  if (!(entry & kMayContinue << kFormShift) || next == end) return false;
  uint32_t second;
  decode(next, second);
  return (forms_[second] & kContinues << kFormShift) != 0;
}

// The characters up to the next that is white space or special: each becomes one. Returns what is behind them.
template <bool kStarts>
const uint8_t* Unigram::put_plain(const uint8_t* p, const uint8_t* end, Scratch& scratch) const {
  constexpr uint32_t kSpace = kSpaceForm << kFormShift, kAny = kSpace | (kSpecial | kMayContinue) << kFormShift;
  uint16_t* classes = scratch.classes.get();
  int32_t* origins = scratch.origins.get();
  size_t count = scratch.count;
  int32_t origin = scratch.origin;
  while (p < end) {
    uint32_t point;
    const uint8_t* next = decode(p, point);
    const uint32_t entry = forms_[point];
    if ((entry & kAny) && ((entry & kSpace) || is_special(entry, next, end))) break;
    if (kStarts) origins[count] = origin++;
    if (byte_fallback_) scratch.points[count] = becomes_[point];
    classes[count++] = static_cast<uint16_t>(entry);
    p = next;
  }
  scratch.count = count;
  scratch.origin = origin;
  return p;
}

// Behind the white space that a text starts with.
const uint8_t* Unigram::leading_space(const uint8_t* p, const uint8_t* end) const {
  while (p < end) {
    const Step step = special_step(p, end);
    if (step.size != 1 || *step.text != ' ') break;
    p += step.length;
  }
  return p;
}

template <bool kStarts>
void Unigram::normalize(const Text& text, Scratch& scratch) const {
  scratch.count = 0;
  scratch.reserve(text.size + kExtra);  // a character becomes at most one, but for special steps
  const uint8_t *p = text.data, *end = text.end();
  if (trim_) p = leading_space(p, end);
  if (kStarts) scratch.origin = characters_in(text.data, p);
  if (p == end) return;
  if (dummy_prefix_ && !suffix_) {
    put<kStarts>(' ', scratch);
    if (kStarts) scratch.origins[0] = -1;
  }
  bool after_space = trim_;
  const uint16_t space_class = class_of_[space_];
  while (p < end) {
    const uint8_t* plain = put_plain<kStarts>(p, end, scratch);
    if (plain != p) after_space = false;
    if ((p = plain) == end) break;
    uint32_t point;
    const uint8_t* next = decode(p, point);
    if (is_special(forms_[point], next, end)) {
      p = put_step<kStarts>(p, end, scratch, after_space);
      continue;
    }
    if (!after_space) put<kStarts>(' ', scratch);
    if (kStarts) ++scratch.origin;
    after_space = trim_;
    p = next;
  }
  int32_t behind = scratch.origin;  // where what is left ends in the text
  if (trim_) {
    while (scratch.count > 0 && scratch.classes[scratch.count - 1] == space_class) {
      --scratch.count;
      if (kStarts) behind = scratch.origins[scratch.count];
    }
  }
  if (dummy_prefix_ && suffix_) {
    put<kStarts>(' ', scratch);
    if (kStarts) scratch.origins[scratch.count - 1] = behind;
  }
}

// Viterbi from left to right. The order of updates and the strict comparison decide ties as SentencePiece does.
void Unigram::find_best_path(Scratch& scratch) const {
  const size_t count = scratch.count;
  scratch.classes[count] = 0;  // nothing has this class: it stops every walk
  const uint16_t* classes = scratch.classes.get();
  const Cell* cells = trie_.cells();
  Best* best = scratch.best.get();
  std::fill(best, best + count + 1, Best{kUnreached, -1, -1});
  best[0].score = 0.0f;
  const auto relax = [best](size_t end, float score, int32_t id, size_t begin) {
    if (score > best[end].score) best[end] = {score, id, static_cast<int32_t>(begin)};
  };
  for (size_t begin = 0; begin < count; ++begin) {
    if (best[begin].score < -kResetScore || best[begin].score > kResetScore) shift_scores(best, begin, count);
#ifdef __GNUC__
    // The trie is larger than the cache: of walks that begin soon, the second and then the third cell are sent for.
    if (begin + kFar < count) {
      const uint16_t *far = classes + begin + kFar, *near = classes + begin + kNear;
      __builtin_prefetch(&cells[cells[cells[0].base + far[0]].base + far[1]]);
      __builtin_prefetch(&cells[cells[cells[cells[0].base + near[0]].base + near[1]].base + near[2]]);
    }
#endif
    const float here = best[begin].score;
    int32_t place = 0, next = cells[0].base + classes[begin];
    if (cells[next].check != 0 || cells[next].value < 0) relax(begin + 1, here + unknown_score_, -1, begin);
    for (size_t at = begin; cells[next].check == place;) {
      place = next;
      const Cell cell = cells[place];
      ++at;
      if (cell.value >= 0) relax(at, cell.score + here, cell.value, begin);
      next = cell.base + classes[at];
    }
  }
}

void Unigram::shift_scores(Best* best, size_t from, size_t count) {
  const float offset = best[from].score;
  for (size_t k = from; k <= count; ++k) best[k].score -= offset;  // what is not reached stays so
}

// Back along the best path, from the end of the buffers, which is where a text of the most ids would end.
template <bool kStarts>
void Unigram::collect_ids(Scratch& scratch) const {
  const size_t most = scratch.count * (byte_fallback_ ? 4 : 1);
  if (scratch.ids.size() < most) {
    scratch.ids.resize(most);
    scratch.starts.resize(most);
  }
  int32_t* const ids = scratch.ids.data();
  int32_t *id = ids + most, *start = scratch.starts.data() + most;
  const Best* best = scratch.best.get();
  bool after_unknown = false;
  for (auto end = static_cast<int32_t>(scratch.count); end > 0;) {
    const Best step = best[end];
    int32_t* const before = id;
    if (step.id >= 0) {
      *--id = piece_ids_[static_cast<size_t>(step.id)];
    } else if (byte_fallback_) {
      uint8_t text[4];
      const uint8_t* behind = write_point(scratch.points[static_cast<size_t>(step.begin)], text);
      while (behind > text) *--id = byte_ids_[*--behind];
    } else if (!after_unknown) {
      *--id = unknown_;  // a run of unknown characters is one token
    }
    if (kStarts) {
      const int32_t origin = scratch.origins[static_cast<size_t>(step.begin)];
      if (id == before) *start = origin;  // the run began before
      for (const int32_t* k = before; k > id; --k) *--start = origin;
    }
    after_unknown = step.id < 0;
    end = step.begin;
  }
  scratch.first = static_cast<size_t>(id - ids);
  scratch.stop = most;
}

template <bool kStarts, typename Id>
void Unigram::encode_all(const Texts& texts, int32_t append, Ragged<Id>& out, std::vector<int32_t>* starts) const {
  Scratch scratch;
  size_t bytes = 0;
  for (const Text& text : texts) bytes += text.size;
  out.values.reserve(bytes / 3 + texts.size());
  if (kStarts) starts->reserve(bytes / 3 + texts.size());
  for (const Text& text : texts) {
    normalize<kStarts>(text, scratch);
    if (scratch.count > 0) {
      find_best_path(scratch);
      collect_ids<kStarts>(scratch);
      const int32_t *ids = scratch.ids.data(), *begins = scratch.starts.data();
      out.values.insert(out.values.end(), ids + scratch.first, ids + scratch.stop);
      if (kStarts) starts->insert(starts->end(), begins + scratch.first, begins + scratch.stop);
    }
    if (append >= 0) {
      out.values.push_back(static_cast<Id>(append));
      if (kStarts) starts->push_back(scratch.origin);
    }
    out.end_row();
  }
}

template <typename Id>
void Unigram::encode(const Texts& texts, int32_t append, Ragged<Id>& out) const {
  encode_all<false>(texts, append, out, nullptr);
}

void Unigram::encode(const Texts& texts, int32_t append, Ragged<int32_t>& out, std::vector<int32_t>& starts) const {
  encode_all<true>(texts, append, out, &starts);
}

template void Unigram::encode(const Texts&, int32_t, Ragged<uint16_t>&) const;
template void Unigram::encode(const Texts&, int32_t, Ragged<int32_t>&) const;

}  // namespace taixue
