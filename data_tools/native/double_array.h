// A trie over sequences of small numbers as a double array: one memory access and one comparison per step.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "huge_pages.h"

namespace taixue {

struct Cell {
  int32_t base = 0;    // child of class c lies at base + c; 0: no children
  int32_t check = -1;  // the parent's place
  int32_t value = -1;  // -1: no key ends here
  float score = 0;
};

class DoubleArray {
 public:
  using Key = std::vector<uint16_t>;  // classes from 1 up

  // Of two equal keys the first counts. scores may be empty.
  void build(const std::vector<Key>& keys, const std::vector<float>& scores);

  const Cell* cells() const { return cells_.data(); }

  // The child of class c of the node at `place` is at next = cells[place].base + c if cells[next].check == place; the
  // root is at 0. The comparison also fails for class 0 and for nodes without children (base 0): nobody names them.

 private:
  struct Node {
    int32_t place;
    size_t begin, end, depth;  // the sorted keys that share the path to it
  };
  int32_t find_base(const std::vector<uint16_t>& classes);
  void reserve_to(size_t place);
  size_t next_free(size_t place);

  LargeTable<Cell> cells_;
  size_t behind_ = 1;         // no place from here on is taken
  std::vector<size_t> free_;  // free_[p]: a free place at or after p, found by following
};

}  // namespace taixue
