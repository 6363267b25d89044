// From drawn spans to what T5 reads and writes, and what the annotation says of each position; the twins are
// plain/span_windows.py and plain/token_tags.py.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace taixue {

// A stretch of each row of tokens (batch, width) and its spans: lengths of noise, of the text before each, of the tail.
struct Stretches {
  const int32_t* tokens;
  size_t batch, width;
  const int64_t* begins;  // (batch, 3): in the tokens, in the input, in the target
  const int64_t *noise, *text, *tail;
  size_t spans;
};

struct SpanLayout {
  const int64_t* sentinels;  // one for each span, or null: none stand in their places
  int64_t mode, eos, start;  // mode -1: no mode token
  const int64_t* documents;  // (batch, width); null: all of a stretch is one
  const int64_t* shift;      // (batch): added to the document's number; null: no segments
};

// (batch, source) and (batch, target); segments and index may be null.
struct SpanArrays {
  int64_t *input_ids, *segments, *index;
  size_t source;
  int64_t *labels, *decoder_input_ids, *decoder_segments;
  size_t target;
};

// Whether every stretch lies in its row of tokens, and what is made of it in those of the arrays.
bool fits(const Stretches& stretches, const SpanLayout& layout, const SpanArrays& out);
void lay_out_spans(const Stretches& stretches, const SpanLayout& layout, const SpanArrays& out);

// uint64 keys (batch) -> int64 (batch, parts): a uniformly random composition of total into parts, each at least 1.
void compositions(const uint64_t* keys, size_t batch, int64_t total, int64_t parts, int64_t* out);

// Annotation rows (batch, window) of `stride` bytes at the places of index (batch, length), -1 for no token.
struct Tagged {
  const uint8_t* rows;
  size_t batch, window, stride;
  const int64_t* index;
  size_t length;
  const uint8_t* masked;  // (batch, length), or null
};
struct Features {
  bool hide_tags, hide_groups;  // of masked tokens
  std::array<size_t, 3> roles;  // their columns
  int64_t *pos, *words, *clauses, *role;  // role (batch, length, 3), or null
};
// Which labels count: of all tokens, of the masked ones, none.
enum class Counted : uint8_t { kAll, kMasked, kNone };

void token_features(const Tagged& tagged, const Features& out);
void token_labels(const Tagged& tagged, Counted counted, int64_t* pos, int64_t* entity);

}  // namespace taixue
