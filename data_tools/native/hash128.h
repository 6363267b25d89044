// 64- and 128-bit hashes for finding equal texts; plain/hashes.py says what they are.
#pragma once
#include <cstdint>
#include <cstring>

namespace taixue {

constexpr uint64_t kSecret[4] = {0x9E3779B97F4A7C15u, 0xBF58476D1CE4E5B9u, 0x94D049BB133111EBu, 0xD6E8FEB86659FD93u};
constexpr uint64_t kMultiplier = kSecret[0];

struct Hash128 {
  uint64_t first, second;
};

inline uint64_t murmur(uint64_t value) {
  value = (value ^ value >> 33) * 0xFF51AFD7ED558CCDu;
  value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53u;
  return value ^ value >> 33;
}

inline uint64_t fold(uint64_t left, uint64_t right) {
  const unsigned __int128 product = static_cast<unsigned __int128>(left) * right;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline Hash128 hash128(const uint8_t* p, size_t size) {
  uint64_t first = size ^ kSecret[0], second = size ^ kSecret[1], block[2];
  const auto step = [&] {
    first = fold(block[0] ^ kSecret[2], block[1] ^ first);
    second = fold(block[1] ^ kSecret[3], block[0] ^ second);
  };
  for (; size >= 16; p += 16, size -= 16) {
    std::memcpy(block, p, 16);
    step();
  }
  if (size > 0) {
    block[0] = block[1] = 0;
    std::memcpy(block, p, size);
    step();
  }
  return {murmur(first), murmur(second ^ kSecret[0])};
}

}  // namespace taixue
