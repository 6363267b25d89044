#include "charsmap.h"

#include <cstring>
#include <stdexcept>

#include "utf8.h"

namespace taixue {

Charsmap::Charsmap(const std::string& blob) {
  if (blob.empty()) return;
  uint32_t size = 0;
  if (blob.size() > 4) std::memcpy(&size, blob.data(), 4);
  if (size < 1024 || size % 1024 != 0 || size >= blob.size() - 4 || blob.back() != '\0') {
    throw std::invalid_argument("damaged precompiled_charsmap");
  }
  units_.resize(size / 4);
  std::memcpy(units_.data(), blob.data() + 4, size);
  replacements_ = blob.substr(4 + size);
  if (!is_valid_utf8(reinterpret_cast<const uint8_t*>(replacements_.data()), replacements_.size())) {
    throw std::invalid_argument("damaged precompiled_charsmap");
  }
}

// The node is the place of the unit xor its offset, as commonPrefixSearch of Darts keeps it.
bool Charsmap::step(uint32_t& node, uint8_t byte) const {
  const uint32_t place = node ^ byte;
  if (place >= units_.size() || (units_[place] & 0x800000FFu) != byte) return false;
  node = place ^ offset(units_[place]);
  return true;
}

Charsmap::Rule Charsmap::longest(const uint8_t* p, const uint8_t* end) const {
  Rule found;
  if (units_.empty()) return found;
  uint32_t node = offset(units_[0]);
  for (const uint8_t* at = p; at < end; ++at) {
    const uint32_t place = node ^ *at;
    if (!step(node, *at)) break;
    if ((units_[place] >> 8 & 1) == 0 || node >= units_.size()) continue;
    const uint32_t begin = units_[node] & 0x7FFFFFFFu;
    if (begin < replacements_.size()) found = {static_cast<size_t>(at + 1 - p), replacements_.data() + begin};
  }
  return found;
}

std::vector<uint32_t> Charsmap::continuations(const uint8_t* p, size_t length) const {
  std::vector<uint32_t> found;
  if (units_.empty()) return found;
  uint32_t node = offset(units_[0]);
  for (size_t k = 0; k < length; ++k) {
    if (!step(node, p[k])) return found;
  }
  std::string path;
  collect(node, path, found);
  return found;
}

void Charsmap::collect(uint32_t node, std::string& path, std::vector<uint32_t>& found) const {
  const bool complete = !path.empty() && path.size() == length_of(static_cast<uint8_t>(path[0]));
  if (complete) {
    uint32_t point;
    decode(reinterpret_cast<const uint8_t*>(path.data()), point);
    found.push_back(point);
    return;  // only the second character matters
  }
  for (int byte = 1; byte < 256; ++byte) {
    uint32_t next = node;
    if (!step(next, static_cast<uint8_t>(byte))) continue;
    path.push_back(static_cast<char>(byte));
    collect(next, path, found);
    path.pop_back();
  }
}

}  // namespace taixue
