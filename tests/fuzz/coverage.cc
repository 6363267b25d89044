// What C++ was reached, for libFuzzer: gcc calls a function in every block, libFuzzer reads a table of counters.
// Linked into the sanitized extensions alone. Without libFuzzer in the process nothing is counted.
#include <cstddef>
#include <cstdint>

#define OURS extern "C" __attribute__((visibility("hidden"), no_sanitize_coverage, no_sanitize("address", "undefined")))

extern "C" {
__attribute__((weak)) void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);
__attribute__((weak)) void __sanitizer_cov_pcs_init(const uintptr_t* begin, const uintptr_t* end);
}

namespace {
constexpr size_t kCounters = 1 << 15;
uint8_t counters[kCounters];
uintptr_t places[2 * kCounters];  // (place, kind) of each; only for messages
}  // namespace

OURS void __sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  ++counters[(place * 0x9E3779B97F4A7C15u) >> 49];
}

// Comparisons of floating point numbers tell libFuzzer nothing.
OURS void __sanitizer_cov_trace_cmpf(float, float) {}
OURS void __sanitizer_cov_trace_cmpd(double, double) {}

OURS __attribute__((constructor)) void register_counters() {
  if (__sanitizer_cov_8bit_counters_init == nullptr || __sanitizer_cov_pcs_init == nullptr) return;
  __sanitizer_cov_8bit_counters_init(counters, counters + kCounters);
  __sanitizer_cov_pcs_init(places, places + 2 * kCounters);
}
