// UTF-8 texts that lie one after another in one buffer, checked once.
#pragma once
#include <stdexcept>
#include <utility>

#include "texts.h"
#include "utf8.h"

namespace taixue {

class Batch {
 public:
  // content: bytes that the caller keeps alive, the texts one after another. std::invalid_argument when one is no UTF-8.
  Batch(const uint8_t* content, size_t size, const int64_t* lengths, size_t count) {
    texts_.reserve(count);
    for (size_t k = 0; k < count; ++k) {
      const auto length = static_cast<size_t>(lengths[k]);
      if (length > size) throw std::invalid_argument("the texts are longer than their bytes");
      if (!is_valid_utf8(content, length)) throw std::invalid_argument("a text is not UTF-8");
      texts_.push_back({content, length});
      content += length;
      size -= length;
    }
  }
  explicit Batch(Texts texts) : texts_(std::move(texts)) {}
  const Texts& texts() const { return texts_; }

 private:
  Texts texts_;
};

}  // namespace taixue
