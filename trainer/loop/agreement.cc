#include "trainer/loop/agreement.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <optional>

#include "parallel/comm/thrown_error.h"

namespace cloze {
namespace {

template <class Number>
Number reduce(Communicator& group, Number number, ReduceOp op) {
  const at::Tensor value =
      at::full({1}, number, at::TensorOptions(c10::CppTypeToScalarType<Number>::value));
  group.all_reduce(value, op).wait();
  return value.item<Number>();
}

at::Tensor bytes_of(const std::string& text, std::int64_t size) {
  at::Tensor bytes = at::zeros({size}, at::kByte);
  std::memcpy(bytes.data_ptr(), text.data(), text.size());
  return bytes;
}

}  // namespace

std::int64_t largest_of(Communicator& group, std::int64_t number) {
  return reduce(group, number, ReduceOp::kMax);
}

double largest_of(Communicator& group, double number) {
  return reduce(group, number, ReduceOp::kMax);
}

std::int64_t sum_of(Communicator& group, std::int64_t number) {
  return reduce(group, number, ReduceOp::kSum);
}

double sum_of(Communicator& group, double number) { return reduce(group, number, ReduceOp::kSum); }

std::vector<std::string> gather_texts(Communicator& group, const std::string& text) {
  const auto length = static_cast<std::int64_t>(text.size());
  const at::Tensor lengths = at::empty({group.size()}, at::kLong);
  group.all_gather(lengths, at::full({1}, length, at::kLong)).wait();
  const std::int64_t largest = std::max<std::int64_t>(1, lengths.max().item<std::int64_t>());
  const at::Tensor all = at::empty({group.size() * largest}, at::kByte);
  group.all_gather(all, bytes_of(text, largest)).wait();
  std::vector<std::string> texts;
  for (int rank = 0; rank < group.size(); ++rank) {
    const char* first = static_cast<const char*>(all.data_ptr()) + rank * largest;
    texts.emplace_back(first, static_cast<std::size_t>(lengths.data_ptr<std::int64_t>()[rank]));
  }
  return texts;
}

std::string broadcast_text(Communicator& group, const std::string& text, int root) {
  const std::int64_t length =
      largest_of(group, group.rank() == root ? static_cast<std::int64_t>(text.size()) : -1);
  if (length == 0) return {};
  const at::Tensor bytes =
      group.rank() == root ? bytes_of(text, length) : at::empty({length}, at::kByte);
  group.broadcast(bytes, root).wait();
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<std::size_t>(length)};
}

void together(Communicator& group, const std::function<void()>& body) {
  std::optional<Error> error;
  try {
    body();
  } catch (const std::exception& thrown) {
    error = error_of(thrown);
  }
  const std::int64_t nobody = std::numeric_limits<std::int32_t>::max();
  const std::int64_t first = -largest_of(group, error ? -group.rank() : -nobody);
  if (first == nobody) return;
  const int root = static_cast<int>(first);
  const bool mine = group.rank() == root;
  const auto code = static_cast<ExitCode>(
      largest_of(group, mine ? static_cast<std::int64_t>(error->code()) : -1));
  const std::string problem = broadcast_text(group, mine ? error->problem() : "", root);
  const std::string fix = broadcast_text(group, mine ? error->fix() : "", root);
  throw AgreedError(Error(code, problem, fix), root);
}

void require_same(Communicator& group, const std::string& text, const std::string& what,
                  const Explain& explain) {
  const std::vector<std::string> texts = gather_texts(group, text);
  std::map<std::string, std::vector<int>> holders;
  for (int rank = 0; rank < group.size(); ++rank) {
    holders[texts[static_cast<std::size_t>(rank)]].push_back(rank);
  }
  if (holders.size() == 1) return;
  const auto most = std::max_element(holders.begin(), holders.end(), [](auto& a, auto& b) {
    return a.second.size() < b.second.size();
  });
  std::string others;
  for (const auto& [other, ranks] : holders) {
    if (other == most->first) continue;
    others += str(others.empty() ? "" : "; ", ranks_text(ranks),
                  ranks.size() == 1 ? " has" : " have", " another ", what);
    if (explain) others += str(": ", explain(most->first, other));
  }
  throw AgreedError(
      Error(ExitCode::kUsage, others, "give every rank the same files, options and program"), 0);
}

std::string ranks_text(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t first = 0; first < ranks.size();) {
    std::size_t last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += str(first == 0 ? "" : ", ", ranks[first]);
    if (last > first) text += str(last == first + 1 ? ", " : "-", ranks[last]);
    first = last + 1;
  }
  return text;
}

}  // namespace cloze
