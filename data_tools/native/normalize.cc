#include "normalize.h"

#include <algorithm>
#include <cstring>

#include "utf8.h"

namespace taixue {

// Writes characters, and white space once it is known what follows it.
class Normalizer::Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void text(const uint8_t* p, size_t length) {
    if (pending_) gap();
    after_return_ = false;
    out_.append(reinterpret_cast<const char*>(p), length);
  }
  void space() {
    pending_ = true;
    after_return_ = false;
  }
  // \r\n is one line end.
  void newline(bool is_line_feed, bool is_return) {
    pending_ = true;
    newlines_ += !(is_line_feed && after_return_);
    after_return_ = is_return;
  }

 private:
  void gap() {
    if (!out_.empty()) out_.append(newlines_ == 0 ? " " : newlines_ == 1 ? "\n" : "\n\n");
    pending_ = false;
    newlines_ = 0;
  }

  std::string& out_;
  bool pending_ = false, after_return_ = false;
  size_t newlines_ = 0;
};

Normalizer::Normalizer(std::vector<uint32_t> actions, std::vector<std::string> replacements, bool whitespace)
    : actions_(std::move(actions)), replacements_(std::move(replacements)), whitespace_(whitespace) {
  for (size_t block = 0; block < stays_.size(); ++block) {
    const auto begin = actions_.begin() + static_cast<ptrdiff_t>(block << 6);
    stays_[block] = std::all_of(begin, begin + 64, [](uint32_t entry) { return entry == 0; });
  }
}

// Behind the run of ideographs and others that stay, looked at 64 code points at a time.
const uint8_t* Normalizer::kept(const uint8_t* p, const uint8_t* end) const {
  while (p < end && (*p & 0xF0) == 0xE0 && stays_[(p[0] & 0x0Fu) << 6 | (p[1] & 0x3Fu)]) p += 3;
  return p;
}

Normalizer::Outcome Normalizer::run(const Text& text, std::string& out) const {
  out.clear();
  out.reserve(text.size);
  Writer writer(out);
  const uint8_t* p = text.data;
  while (p < text.end()) {
    // A run of characters that stay is copied at once.
    const uint8_t* begin = p;
    uint32_t point, entry = 0;
    const uint8_t* next = p;
    while ((p = kept(p, text.end())) < text.end()) {
      next = decode(p, point);
      entry = actions_[point];
      if (entry != 0) break;
      p = next;
    }
    if (p > begin) writer.text(begin, static_cast<size_t>(p - begin));
    if (p == text.end()) break;
    if (!put(p, static_cast<size_t>(next - p), entry, writer)) return Outcome::kNeedsWhole;
    p = next;
  }
  const bool same = out.size() == text.size && std::memcmp(out.data(), text.data, text.size) == 0;
  return same ? Outcome::kSame : Outcome::kChanged;
}

bool Normalizer::put(const uint8_t* p, size_t length, uint32_t entry, Writer& writer) const {
  const uint32_t action = entry >> 24;
  switch (action) {
    case kJoining:
      return false;
    case kDrop:
      return true;
    case kReplace: {
      const std::string& replacement = replacements_[entry & 0xFFFFFF];
      const auto* q = reinterpret_cast<const uint8_t*>(replacement.data());
      for (const uint8_t* end = q + replacement.size(); q < end;) {
        uint32_t point;
        const uint8_t* next = decode(q, point);
        // What a replacement holds is not replaced again.
        const uint32_t inner = actions_[point];
        const uint32_t kind = inner >> 24;
        put(q, static_cast<size_t>(next - q), kind == kReplace || kind == kJoining ? 0 : inner, writer);
        q = next;
      }
      return true;
    }
    case kSpaceRun:
      whitespace_ ? writer.space() : writer.text(p, length);
      return true;
    case kNewline:
    case kReturn:
      whitespace_ ? writer.newline(*p == '\n', action == kReturn) : writer.text(p, length);
      return true;
    default:
      writer.text(p, length);
      return true;
  }
}

}  // namespace taixue
