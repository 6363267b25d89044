// The functions of the extension, each specified by its twin in plain/.
#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "characters.h"
#include "texts.h"

namespace taixue {

// stats.cc. One row of plain/rules.py, STATS; every field is 8 bytes wide.
struct Stats {
  int64_t bytes, characters, hanzi, latin, digits, punctuation, symbols, whitespace, kana, hangul, letters;
  int64_t traditional, replacement;
  int64_t lines, end_punctuation_lines, bullet_lines, ellipsis_lines, duplicate_lines, duplicate_line_characters;
  double mean_line, duplicate_line_share, repetition;
};
void text_stats(const Texts& texts, const CharacterTable& table, int ngram, Stats* rows);
// Whether a text is nothing but white space.
void are_blank(const Texts& texts, const CharacterTable& table, bool* out);

// minhash.cc. rounds: a key for each of the 2 B rounds of B bins.
struct MinHash {
  std::vector<uint64_t> rounds;
  int ngram, bands;
};
void minhash_bands(const Texts& texts, const CharacterTable& table, const MinHash& keys, uint64_t* out);

// personal.cc. Texts in which nothing was found come back as empty optional: changed[k] says which did not.
constexpr int kPersonalKinds = 7;
struct Masked {
  std::vector<std::string> texts;
  std::vector<char> changed;
};
Masked mask_personal(const Texts& texts, unsigned kinds, const std::vector<std::string>& placeholders, int64_t* counts);

// segment.cc. Character offsets.
std::pair<Ragged<int32_t>, Ragged<int32_t>> segment(const Texts& texts, const CharacterTable& table);
// The same of one text, behind what the vectors hold.
void segment(const Text& text, const CharacterTable& table, std::vector<int32_t>& sentences,
             std::vector<int32_t>& clauses);

}  // namespace taixue
