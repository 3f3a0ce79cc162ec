// Collects violated rules with the place of the key they are about.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "trainer/config/load.h"

namespace cloze {

class RuleList {
 public:
  // Rules about `broken` keys, which have no valid value, are not reported.
  RuleList(const LoadedConfig& config, const std::set<std::string>& broken)
      : config_(config), broken_(broken) {}

  // `keys` are those that the rule reads; the problem stands where the first written one is,
  // one of --set before one of the file.
  void require(bool holds, std::initializer_list<const char*> keys, const std::string& what,
               const std::string& fix);

  const config::Run& run() const { return config_.run; }
  std::vector<Problem> take() { return std::move(problems_); }

 private:
  const LoadedConfig& config_;
  const std::set<std::string>& broken_;
  std::vector<Problem> problems_;
};

// The rules, by what they are about.
void check_model_rules(RuleList& rules);
void check_training_rules(RuleList& rules);
void check_layout_rules(RuleList& rules, std::optional<int> world_size);

// "1, 2, 4": the tensor degrees that the model's sizes, which must be set, allow.
std::string tensor_choices(const config::Model& model);

}  // namespace cloze
