#include "match_units.h"

#include <utility>

#include "hash128.h"
#include "utf8.h"

namespace taixue {
namespace {

constexpr uint64_t kPlace = 0x632BE59BD9B4E019;  // between the characters of a word
constexpr uint32_t kArgument = 0xFFFFFF;

uint32_t kind_of(uint32_t entry) { return entry >> 24; }

}  // namespace

void Units::clear(size_t most) {
  count = 0;
  edges.assign(1, 0);
  lines.assign(1, 0);
  if (most <= values.size()) return;
  values.resize(most);
  are_words.resize(most);
  begins.resize(most);
  ends.resize(most);
}

Splitter::Splitter(std::vector<uint32_t> entries, std::vector<std::vector<uint32_t>> several)
    : entries_(std::move(entries)), several_(std::move(several)) {}

void Splitter::split(const Text& text, Units& units) const {
  if (split_plain(text, units)) return;
  // Characters that stand for several: each of these has the place of the one.
  std::vector<std::pair<uint32_t, uint32_t>> points;
  uint32_t place = 0;
  for (const uint8_t* p = text.data; p < text.end(); ++place) {
    uint32_t point;
    p = decode(p, point);
    const uint32_t entry = entries_[point];
    if (kind_of(entry) != kSeveral) {
      points.emplace_back(entry, place);
      continue;
    }
    for (const uint32_t one : several_[entry & kArgument]) points.emplace_back(one, place);
  }
  units.clear(points.size());
  Units::Writer writer(units);
  for (size_t k = 0; k < points.size(); ++k) {
    const auto [entry, begin] = points[k];
    if (kind_of(entry) == kSeparator) writer.edge(entry != 0);
    if (kind_of(entry) == kSingle) writer.add(entry & kArgument, false, begin, begin + 1);
    if (kind_of(entry) != kWordPart) continue;
    uint64_t hash = murmur(entry & kArgument), within = 0;
    for (; k + 1 < points.size() && kind_of(points[k + 1].first) == kWordPart; ++k) {
      within += kPlace;
      hash += murmur((points[k + 1].first & kArgument) + within);
    }
    writer.add(hash, true, begin, points[k].second + 1);
  }
  writer.edge(true);
}

// False for a text with a character that stands for several.
bool Splitter::split_plain(const Text& text, Units& units) const {
  units.clear(text.size);
  const uint32_t* entries = entries_.data();
  Units::Writer writer(units);
  size_t place = 0;
  for (const uint8_t* p = text.data; p < text.end();) {
    uint32_t point;
    p = decode(p, point);
    uint32_t entry = entries[point];
    const size_t begin = place++;
    if (kind_of(entry) == kSingle) {
      writer.add(entry & kArgument, false, begin, place);
      continue;
    }
    if (kind_of(entry) == kSeveral) return false;
    if (kind_of(entry) == kSeparator) {
      writer.edge(entry != 0);
      continue;
    }
    uint64_t hash = 0, within = 0;
    while (true) {
      hash += murmur((entry & kArgument) + within);
      within += kPlace;
      if (p == text.end()) break;
      const uint8_t* next = decode(p, point);
      entry = entries[point];
      if (kind_of(entry) == kSeveral) return false;
      if (kind_of(entry) != kWordPart) break;
      p = next;
      ++place;
    }
    writer.add(hash, true, begin, place);
  }
  writer.edge(true);
  return true;
}

}  // namespace taixue
