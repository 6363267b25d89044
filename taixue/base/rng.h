// splitmix64 without state, as in rng.py.
#pragma once
#include <cstdint>

namespace taixue {

inline uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

// The number at a place of the stream that a key names.
inline uint64_t number_at(uint64_t key, uint64_t place) { return mix(key + (place + 1) * 0x9E3779B97F4A7C15u); }

// A number to one in [0, limit).
inline uint64_t below_64(uint64_t number, uint64_t limit) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(number) * limit >> 64);
}

// The same of the low 32 bits.
inline uint64_t below_32(uint64_t number, uint64_t limit) { return (number & 0xFFFFFFFFu) * limit >> 32; }

}  // namespace taixue
