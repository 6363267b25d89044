#include "annotate.h"

#include <algorithm>
#include <stdexcept>

#include "functions.h"
#include "utf8.h"

namespace taixue {
namespace {

// What a place of a text is, beside kClause and kSentence: where one begins.
enum Mark : uint8_t { kWordMark = 1, kBlank = 2 };

struct Candidate {  // a connective, or a member of a pair
  int32_t begin, end, term, sentence;
  uint8_t kind, flags;
};

}  // namespace

// One text and what is in it; buffers that are used again for every text.
struct Annotation::Layers {
  std::vector<uint32_t> points;  // more than `count`, as of longer texts
  std::vector<uint8_t> marks;    // of each character, and of the end of the text: a word begins there
  WordCutter::Scratch scratch;
  std::vector<WordCutter::Word> words;
  std::vector<size_t> begins;
  std::vector<Match> matches;
  std::vector<Span> terms, entities, connectives;
  std::vector<Candidate> candidates;
  std::vector<int32_t> sentences, clauses;
  std::vector<Token> tokens;        // those that are not blank
  std::vector<int32_t> continuing;  // rows of blank ones that are, with the one before, bytes of one character
  size_t count = 0;           // characters
  int32_t size() const { return static_cast<int32_t>(count); }
};

Annotation::Annotation(AnnotationRules rules, std::vector<uint8_t> is_blank)
    : rules_(std::move(rules)), is_blank_(std::move(is_blank)) {
  const size_t terms = rules_.single.size();
  if (is_blank_.size() != kPoints || rules_.names.size() != 256 || rules_.clause_only.size() != terms ||
      rules_.pairs.size() != terms * terms) {
    throw std::invalid_argument("tables of the wrong size");
  }
}

void Annotation::rows(const Texts& texts, const CharacterTable& table, const int64_t* offsets, const int32_t* starts,
                      AnnotationRow* out, AnnotationCounts& counts) const {
  Layers layers;
  for (size_t k = 0; k < texts.size(); ++k) {
    const auto begin = static_cast<size_t>(offsets[k]), count = static_cast<size_t>(offsets[k + 1]) - begin - 1;
    find(texts[k], table, layers);
    find_tokens(starts + begin, count, layers);
    write(layers, out + begin, count, counts);
    out[begin + count] = {0, 0, 0, 0};
  }
}

void Annotation::find(const Text& text, const CharacterTable& table, Layers& layers) const {
  if (layers.marks.size() <= text.size) {
    layers.points.resize(text.size);
    layers.marks.resize(text.size + 1);
  }
  uint32_t* point = layers.points.data();
  uint8_t* mark = layers.marks.data();
  for (const uint8_t* p = text.data; p < text.end(); ++point) {
    p = decode(p, *point);
    *mark++ = is_blank_[*point] ? kBlank : 0;
  }
  const size_t count = layers.count = static_cast<size_t>(point - layers.points.data());
  layers.marks[count] = kWordMark;
  if (rules_.cutter != nullptr) {
    rules_.cutter->cut(layers.points.data(), count, layers.scratch, layers.words);
    for (const auto& word : layers.words) layers.marks[word.begin] |= kWordMark;
  }
  find_boundaries(text, table, layers);
  find_entities(layers);
  find_connectives(layers);
}

void Annotation::find_boundaries(const Text& text, const CharacterTable& table, Layers& layers) const {
  if (!rules_.clauses && rules_.connectives == nullptr) return;
  layers.sentences.clear();
  layers.clauses.clear();
  segment(text, table, layers.sentences, layers.clauses);
  if (layers.count == 0) return;
  layers.marks[0] |= kClause | kSentence;
  // One begins where one ends, but for the last.
  for (size_t k = 0; k + 1 < layers.clauses.size(); ++k) layers.marks[static_cast<size_t>(layers.clauses[k])] |= kClause;
  for (size_t k = 0; k + 1 < layers.sentences.size(); ++k) {
    layers.marks[static_cast<size_t>(layers.sentences[k])] |= kSentence;
  }
}

// Matches of a list; on_words: only those that begin and end where words do.
void Annotation::find_terms(const Keywords& list, bool on_words, Layers& layers) const {
  const Keywords::Edges words{layers.marks.data(), kWordMark};
  const Keywords::Edges* edges = on_words && rules_.cutter != nullptr ? &words : nullptr;
  list.longest(layers.points.data(), layers.count, edges, layers.begins, layers.matches);
}

// Terms of the lexicon, and the names that overlap none of them.
void Annotation::find_entities(Layers& layers) const {
  layers.terms.clear();
  if (rules_.lexicon != nullptr) {
    find_terms(*rules_.lexicon, rules_.terms_on_words, layers);
    for (const Match& match : layers.matches) {
      layers.terms.push_back({match.begin, match.end, rules_.types[static_cast<size_t>(match.word)], kEntity});
    }
  }
  if (rules_.cutter == nullptr) {
    layers.entities.swap(layers.terms);
    return;
  }
  layers.entities.clear();
  auto term = layers.terms.begin();
  const auto& words = layers.words;
  for (size_t k = 0; k < words.size(); ++k) {
    const uint8_t kind = rules_.names[words[k].tag];
    if (kind == 0) continue;
    const auto begin = static_cast<int32_t>(words[k].begin);
    const int32_t end = k + 1 < words.size() ? static_cast<int32_t>(words[k + 1].begin) : layers.size();
    while (term != layers.terms.end() && term->end <= begin) layers.entities.push_back(*term++);
    if (term == layers.terms.end() || term->begin >= end) layers.entities.push_back({begin, end, kind, kEntity});
  }
  layers.entities.insert(layers.entities.end(), term, layers.terms.end());
}

void Annotation::find_connectives(Layers& layers) const {
  layers.connectives.clear();
  if (rules_.connectives == nullptr) return;
  find_terms(*rules_.connectives, true, layers);
  layers.candidates.clear();
  size_t sentence = 0;
  for (const Match& match : layers.matches) {
    const auto begin = static_cast<size_t>(match.begin);
    while (layers.sentences[sentence] <= match.begin) ++sentence;  // the last is the end of the text
    const auto term = static_cast<size_t>(match.word);
    const bool counts = !rules_.clause_only[term] || (layers.marks[begin] & kClause);
    layers.candidates.push_back({match.begin, match.end, match.word, static_cast<int32_t>(sentence),
                                 counts ? rules_.single[term] : uint8_t{0}, kConnective});
  }
  mark_pairs(layers);
  for (const Candidate& one : layers.candidates) {
    if (one.kind != 0) layers.connectives.push_back({one.begin, one.end, one.kind, one.flags});
  }
}

// The nearest partners first; what a pair has taken, the next may not take.
void Annotation::mark_pairs(Layers& layers) const {
  auto& found = layers.candidates;
  const size_t terms = rules_.single.size();
  const auto is_taken = [](const Candidate& one) { return (one.flags & (kPairFirst | kPairSecond)) != 0; };
  for (size_t lag = 1; lag <= static_cast<size_t>(rules_.reach) && lag < found.size(); ++lag) {
    for (size_t k = 0; k + lag < found.size(); ++k) {
      Candidate &first = found[k], &second = found[k + lag];
      if (first.sentence != second.sentence || is_taken(first) || is_taken(second)) continue;
      const uint8_t relation = rules_.pairs[static_cast<size_t>(first.term) * terms + static_cast<size_t>(second.term)];
      if (relation == 0) continue;
      first.kind = second.kind = relation;
      first.flags |= kPairFirst;
      second.flags |= kPairSecond;
    }
  }
}

void Annotation::find_tokens(const int32_t* starts, size_t count, Layers& layers) const {
  layers.tokens.clear();
  layers.continuing.clear();
  size_t blank = count;  // the last one that is
  const int32_t size = layers.size();
  const uint8_t* marks = layers.marks.data();
  for (size_t k = 0; k < count; ++k) {
    // Bytes of one character share its place: each has the character that starts there.
    const int32_t next = k + 1 < count ? starts[k + 1] : size;
    const int32_t end = std::min(std::max(next, starts[k] + 1), size);
    int32_t first = std::max(starts[k], 0), last = end - 1;
    while (first < end && (marks[first] & kBlank)) ++first;
    if (first >= end) {
      if (k > 0 && blank == k - 1 && starts[k] == starts[blank]) layers.continuing.push_back(static_cast<int32_t>(k));
      blank = k;
      continue;
    }
    while (marks[last] & kBlank) --last;
    Token& token = layers.tokens.emplace_back();  // its members one by one: a whole one would wait for all to be stored
    token.first = first;
    token.last = last;
    token.row = static_cast<int32_t>(k);
  }
}

void Annotation::write(const Layers& layers, AnnotationRow* rows, size_t count, AnnotationCounts& counts) const {
  std::fill_n(rows, count, AnnotationRow{kUnit, 0, 0, 0});  // a blank token is a unit of its own
  if (rules_.cutter != nullptr) {
    for (const int32_t row : layers.continuing) rows[row].flags = 0;
    write_words(layers, rows);
  }
  if (rules_.clauses) {
    write_parts(layers, layers.clauses, kClause, rows);
    write_parts(layers, layers.sentences, kSentence, rows);
  }
  counts.texts += 1;
  counts.characters += layers.size();
  counts.tokens += static_cast<int64_t>(count);
  if (rules_.cutter != nullptr) counts.words += static_cast<int64_t>(layers.words.size());
  write_spans(layers.entities, layers.tokens, rows, &AnnotationRow::entity, counts.entities);
  write_spans(layers.connectives, layers.tokens, rows, &AnnotationRow::connective, counts.connectives);
  uint32_t units = 0, straddling = 0, clauses = 0, sentences = 0, pairs = 0;
  for (size_t k = 0; k < count; ++k) {
    const uint32_t flags = rows[k].flags;
    units += flags & 1;
    straddling += flags >> 1 & 1;
    clauses += flags >> 2 & 1;
    sentences += flags >> 3 & 1;
    pairs += flags >> 6 & 1;
  }
  counts.units += units;
  counts.straddling += straddling;
  counts.clauses += clauses;
  counts.sentences += sentences;
  counts.pairs += pairs;
}

void Annotation::write_words(const Layers& layers, AnnotationRow* rows) {
  const auto& words = layers.words;
  const auto end_of = [&](size_t word) {
    return word + 1 < words.size() ? static_cast<int32_t>(words[word + 1].begin) : layers.size();
  };
  size_t word = 0;
  int32_t row_before = 0;
  int32_t before = -1;  // number of the word that the row before belongs to, -1: of none
  for (const Token& token : layers.tokens) {
    while (end_of(word) <= token.first) ++word;
    AnnotationRow& row = rows[token.row];
    if (token.last >= end_of(word)) {
      row.flags = kUnit | kStraddles;
      before = -1;
      continue;
    }
    const bool same = static_cast<int32_t>(word) == before && token.row == row_before + 1;
    row.flags = same ? 0 : kUnit;
    row.pos = words[word].tag;
    before = static_cast<int32_t>(word);
    row_before = token.row;
  }
}

// A part begins in the token that holds its first character that is not blank; bytes of one character all begin it.
// ends: of the parts, one after another.
void Annotation::write_parts(const Layers& layers, const std::vector<int32_t>& ends, Flag flag, AnnotationRow* rows) {
  const uint8_t* marks = layers.marks.data();
  const auto& tokens = layers.tokens;
  auto token = tokens.begin();
  int32_t begin = 0;
  for (const int32_t end : ends) {
    while (token != tokens.end() && token->last < begin) ++token;
    if (token == tokens.end()) break;
    while (begin < token->first && (marks[begin] & kBlank)) ++begin;
    for (auto held = token; begin >= token->first && held != tokens.end() && held->first == token->first; ++held) {
      rows[held->row].flags |= flag;
    }
    begin = end;
  }
}

void Annotation::write_spans(const std::vector<Span>& spans, const std::vector<Token>& tokens, AnnotationRow* rows,
                             uint8_t AnnotationRow::*column, AnnotationCounts::Kinds& counts) {
  auto token = tokens.begin();
  for (const Span& span : spans) {
    counts.spans += 1;
    counts.characters += span.end - span.begin;
    counts.by_kind[span.kind] += 1;
    while (token != tokens.end() && token->first < span.begin) ++token;
    const bool begins = token != tokens.end() && token->first == span.begin;
    bool ends = false;
    uint8_t flags = span.flags;
    for (auto held = token; held != tokens.end() && held->last < span.end; ++held) {
      rows[held->row].*column = span.kind;
      rows[held->row].flags |= flags;
      flags = 0;  // only the first has them
      ends |= held->last == span.end - 1;
    }
    counts.exact += begins && ends;
  }
}

}  // namespace taixue
