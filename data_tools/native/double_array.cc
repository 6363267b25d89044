#include "double_array.h"

#include <algorithm>
#include <numeric>

namespace taixue {

// Places tried for a node with several children before it goes behind everything.
static constexpr int kAttempts = 200;
static constexpr size_t kClassLimit = 1 << 16;

void DoubleArray::build(const std::vector<Key>& keys, const std::vector<float>& scores) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  cells_.clear();
  free_.clear();
  reserve_to(1);
  cells_[0].check = -2;  // nobody's child
  free_[0] = 1;
  std::vector<Node> nodes{{0, 0, keys.size(), 0}};
  std::vector<uint16_t> classes;
  std::vector<size_t> starts;
  // Breadth first: the nodes near the root, which are visited most, lie together.
  for (size_t n = 0; n < nodes.size(); ++n) {
    Node node = nodes[n];
    Cell& cell = cells_[static_cast<size_t>(node.place)];
    for (; node.begin < node.end && keys[order[node.begin]].size() == node.depth; ++node.begin) {
      if (cell.value >= 0) continue;
      cell.value = static_cast<int32_t>(order[node.begin]);
      if (!scores.empty()) cell.score = scores[order[node.begin]];
    }
    if (node.begin == node.end) continue;
    classes.clear();
    starts.clear();
    for (size_t k = node.begin; k < node.end; ++k) {
      const uint16_t cls = keys[order[k]][node.depth];
      if (classes.empty() || cls != classes.back()) {
        classes.push_back(cls);
        starts.push_back(k);
      }
    }
    starts.push_back(node.end);
    const int32_t base = find_base(classes);
    cells_[static_cast<size_t>(node.place)].base = base;
    for (size_t k = 0; k < classes.size(); ++k) {
      const int32_t place = base + classes[k];
      cells_[static_cast<size_t>(place)].check = node.place;
      free_[static_cast<size_t>(place)] = static_cast<size_t>(place) + 1;
      behind_ = std::max(behind_, static_cast<size_t>(place) + 1);
      nodes.push_back({place, starts[k], starts[k + 1], node.depth + 1});
    }
  }
  cells_.resize(behind_ + kClassLimit);  // base + class is always inside
  std::vector<size_t>().swap(free_);
}

int32_t DoubleArray::find_base(const std::vector<uint16_t>& classes) {
  size_t place = next_free(classes[0] + size_t{1});
  for (int attempt = 0;; ++attempt) {
    if (attempt == kAttempts) place = next_free(std::max(place, behind_ + classes[0]));
    const size_t base = place - classes[0];
    reserve_to(base + classes.back());
    const bool fits = std::all_of(classes.begin(), classes.end(), [&](uint16_t cls) {
      return cells_[base + cls].check == -1;
    });
    if (fits) return static_cast<int32_t>(base);
    place = next_free(place + 1);
  }
}

void DoubleArray::reserve_to(size_t place) {
  if (place < cells_.size()) return;
  size_t size = cells_.size();
  const size_t wanted = std::max(place + 1, size + size / 4);
  cells_.resize(wanted);
  for (; size < wanted; ++size) free_.push_back(size);
}

size_t DoubleArray::next_free(size_t place) {
  reserve_to(place);
  size_t at = place;
  while (at < free_.size() && free_[at] != at) at = free_[at];
  // Shorten the way for the next search.
  while (place < free_.size() && free_[place] != place && free_[place] != at) {
    const size_t next = free_[place];
    free_[place] = at;
    place = next;
  }
  reserve_to(at);
  return at;
}

}  // namespace taixue
