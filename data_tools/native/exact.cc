// Hashes of whole texts and of their lines, taken of what counts in them (plain/hashes.py says what that is).
#include "exact.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hash128.h"
#include "utf8.h"

namespace taixue {

Identity::Identity(std::vector<uint32_t> becomes, std::vector<std::u32string> longer)
    : becomes_(std::move(becomes)), longer_(std::move(longer)) {}

// The form of a text; a run of white space is one space, none at the ends.
class Identity::Form {
 public:
  explicit Form(const Identity& identity) : identity_(identity) {}

  void read(const uint8_t* p, const uint8_t* end) {
    size_t count = 0, space = 0;  // space: whether one comes before the next character
    reserve(static_cast<size_t>(end - p));
    const uint32_t* becomes = identity_.becomes_.data();
    uint32_t* points = points_.data();
    const auto put = [&](uint32_t point) {
      if (point == ' ') {
        space = count > 0;
      } else {
        points[count] = ' ';
        points[count + space] = point;
        count += space + 1;
        space = 0;
      }
    };
    while (p < end) {
      uint32_t point;
      p = decode(p, point);
      const uint32_t form = becomes[point];
      if (form < kLonger) {
        put(form);
      } else if (form != kNothing) {
        const std::u32string& longer = identity_.longer_[form - kLonger];
        reserve(count + longer.size() + static_cast<size_t>(end - p));
        points = points_.data();
        for (const char32_t part : longer) put(part);
      }
    }
    count_ = count;
  }
  bool empty() const { return count_ == 0; }
  Hash128 hash() const { return hash128(reinterpret_cast<const uint8_t*>(points_.data()), 4 * count_); }

 private:
  // Room for so many characters and the space before one; what is there stays.
  void reserve(size_t characters) {
    if (points_.size() < characters + 2) points_.resize(2 * characters + 2);
  }

  const Identity& identity_;
  std::vector<uint32_t> points_;
  size_t count_ = 0;
};

void Identity::exact_hash(const Texts& texts, uint64_t* out) const {
  Form form(*this);
  for (const Text& text : texts) {
    form.read(text.data, text.end());
    const Hash128 hash = form.hash();
    *out++ = hash.first;
    *out++ = hash.second;
  }
}

Ragged<std::array<uint64_t, 3>> Identity::paragraph_hashes(const Texts& texts) const {
  Ragged<std::array<uint64_t, 3>> out;
  Form form(*this);
  for (const Text& text : texts) {
    const uint8_t* begin = text.data;
    while (true) {
      const auto* found = begin < text.end() ? std::memchr(begin, '\n', static_cast<size_t>(text.end() - begin)) : nullptr;
      const uint8_t* end = found ? static_cast<const uint8_t*>(found) : text.end();
      form.read(begin, end);
      const Hash128 hash = form.empty() ? Hash128{0, 0} : form.hash();
      const auto characters = static_cast<uint64_t>((end - begin) - std::count_if(begin, end, is_continuation));
      out.values.push_back({hash.first, hash.second, characters});
      if (!found) break;
      begin = end + 1;
    }
    out.end_row();
  }
  return out;
}

void token_hash(const int32_t* tokens, const int64_t* lengths, size_t count, uint64_t* out) {
  for (size_t k = 0; k < count; ++k) {
    const auto length = static_cast<size_t>(lengths[k]);
    out[k] = hash128(reinterpret_cast<const uint8_t*>(tokens), 4 * length).first;
    tokens += length;
  }
}

}  // namespace taixue
