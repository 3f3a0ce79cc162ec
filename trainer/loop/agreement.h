// Ranks that must succeed or fail together, and small texts passed between them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/communicator.h"

namespace cloze {

// An error that every rank throws alike, because together() spread it: one rank reports it.
class AgreedError : public Error {
 public:
  AgreedError(const Error& error, int rank) : Error(error), rank_(rank) {}
  int rank() const { return rank_; }  // Where it happened first, by rank.

 private:
  int rank_;
};

// Runs `body`, which talks to no other rank, on every rank of `group`. When it throws an Error
// on any, all throw that of the lowest rank, so that nobody waits for a rank that gave up.
void together(Communicator& group, const std::function<void()>& body);

// Every rank's text, in rank order.
std::vector<std::string> gather_texts(Communicator& group, const std::string& text);
// The root's text.
std::string broadcast_text(Communicator& group, const std::string& text, int root);

// What tells the most frequent text and another one apart, for a message.
using Explain = std::function<std::string(const std::string& most, const std::string& other)>;

// kUsage on every rank unless all have the same text; names the ranks that differ from most.
void require_same(Communicator& group, const std::string& text, const std::string& what,
                  const Explain& explain = nullptr);

// "rank 2", "ranks 0-3, 7". Rising numbers.
std::string ranks_text(const std::vector<int>& ranks);

// The largest of the ranks' numbers.
std::int64_t largest_of(Communicator& group, std::int64_t number);
double largest_of(Communicator& group, double number);
// Their sum.
std::int64_t sum_of(Communicator& group, std::int64_t number);
double sum_of(Communicator& group, double number);

}  // namespace cloze
