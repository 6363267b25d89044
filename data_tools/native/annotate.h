// Annotation of texts, one sidecar row per token; annotate/ of the package is the specification: what is found
// (words.py, entities.py, connectives.py) and how it gets from characters to tokens (project.py).
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "characters.h"
#include "keywords.h"
#include "texts.h"
#include "words.h"

namespace taixue {

// sidecar.py: the flags, and a row of BASE_COLUMNS.
enum Flag : uint8_t {
  kUnit = 1, kStraddles = 2, kClause = 4, kSentence = 8, kEntity = 16, kConnective = 32, kPairFirst = 64, kPairSecond = 128
};
struct AnnotationRow {
  uint8_t flags, pos, entity, connective;
};

struct AnnotationRules {
  const WordCutter* cutter;     // none: no words
  const Keywords* lexicon;      // none: no terms
  std::vector<uint8_t> types;   // entity type of each term
  bool terms_on_words;          // a term counts only where it starts and ends with a word
  std::vector<uint8_t> names;   // entity type of words by tag (256), 0: no name
  const Keywords* connectives;  // none: no connectives
  std::vector<uint8_t> single;  // relation of each by itself, 0: none
  std::vector<uint8_t> clause_only;
  std::vector<uint8_t> pairs;   // [first * terms + second]: relation, 0: no pair
  int reach;                    // how many matches ahead the other member of a pair may be
  bool clauses;                 // whether clauses and sentences are written
};

// In this order in annotator.py.
struct AnnotationCounts {
  int64_t texts, characters, tokens, units, straddling, clauses, sentences, pairs, words;
  struct Kinds {
    int64_t spans, characters, exact;
    std::array<int64_t, 256> by_kind;
  } entities, connectives;
};

class Annotation {
 public:
  Annotation(AnnotationRules rules, std::vector<uint8_t> is_blank);

  // offsets: where the tokens of each text begin among all, and the end; starts: first character of each token; a
  // text's last token is its end mark, with a row of zeros. Counts are added to.
  void rows(const Texts& texts, const CharacterTable& table, const int64_t* offsets, const int32_t* starts,
            AnnotationRow* out, AnnotationCounts& counts) const;

 private:
  struct Span {
    int32_t begin, end;
    uint8_t kind, flags;
  };
  struct Token {  // its first and last character that are not blank
    int32_t first, last, row;
  };
  struct Layers;

  void find(const Text& text, const CharacterTable& table, Layers& layers) const;
  void find_boundaries(const Text& text, const CharacterTable& table, Layers& layers) const;
  void find_terms(const Keywords& list, bool on_words, Layers& layers) const;
  void find_entities(Layers& layers) const;
  void find_connectives(Layers& layers) const;
  void mark_pairs(Layers& layers) const;
  void find_tokens(const int32_t* starts, size_t count, Layers& layers) const;
  void write(const Layers& layers, AnnotationRow* rows, size_t count, AnnotationCounts& counts) const;
  static void write_words(const Layers& layers, AnnotationRow* rows);
  static void write_parts(const Layers& layers, const std::vector<int32_t>& ends, Flag flag, AnnotationRow* rows);
  static void write_spans(const std::vector<Span>& spans, const std::vector<Token>& tokens, AnnotationRow* rows,
                          uint8_t AnnotationRow::*column, AnnotationCounts::Kinds& counts);

  AnnotationRules rules_;
  std::vector<uint8_t> is_blank_;  // of code points
};

}  // namespace taixue
