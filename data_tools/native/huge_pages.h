// Memory of large tables that are read at random places: on huge pages where the system gives them, for the addresses
// of small ones do not fit into the processor's cache of addresses.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace taixue {

template <typename T>
struct HugePages {  // an allocator
  using value_type = T;
  static constexpr size_t kPage = size_t{1} << 21;

  HugePages() = default;
  template <typename U>
  HugePages(const HugePages<U>&) {}

  T* allocate(size_t count) {
    size_t size = count * sizeof(T);
    if (size < kPage) return static_cast<T*>(::operator new(size));
    size = (size + kPage - 1) / kPage * kPage;
    void* memory = std::aligned_alloc(kPage, size);
    if (memory == nullptr) throw std::bad_alloc();
#ifdef __linux__
    madvise(memory, size, MADV_HUGEPAGE);  // where it is refused, small pages do
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    if (count * sizeof(T) < kPage) {
      ::operator delete(memory);
    } else {
      std::free(memory);
    }
  }
  template <typename U>
  bool operator==(const HugePages<U>&) const { return true; }
  template <typename U>
  bool operator!=(const HugePages<U>&) const { return false; }
};

template <typename T>
using LargeTable = std::vector<T, HugePages<T>>;

}  // namespace taixue
