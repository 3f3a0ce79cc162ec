// Keys and values of the tokens of a text so far, of every layer of a rank: what makes the next
// token cost one token and not the whole text.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cloze {

class KeyValueCache {
 public:
  // Memory is taken layer by layer as layers first come.
  explicit KeyValueCache(std::int64_t capacity) : capacity_(capacity) {}

  std::int64_t size() const { return size_; }  // Tokens that every layer has.
  std::int64_t capacity() const { return capacity_; }

  // Puts the rows of new tokens, [new, features], behind those before; returns all of them,
  // [size + new, features], a view. Every layer appends the same number, then advance() counts.
  at::Tensor append(std::uint32_t layer, const at::Tensor& rows);
  void advance(std::int64_t tokens);

 private:
  const std::int64_t capacity_;
  std::int64_t size_ = 0;
  std::vector<at::Tensor> layers_;  // [capacity, features]; undefined until its layer comes.
};

}  // namespace cloze
