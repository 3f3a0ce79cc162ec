// The rules of a model that does not come from a YAML file, such as one of a model folder.
#pragma once

#include <string>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

// Every violated range and rule of the section, in words. A required size that is not set is one
// too.
std::vector<std::string> check_model(const config::Model& model);

// kUsage unless the model can be cut over so many tensor ranks; `name` is what the error calls it.
void check_tensor_degree(const config::Model& model, const std::string& name, int ranks);

// The keys of the section that differ and change what the weights mean, as
// "hidden_size 64, not 128": `given` is what was asked for, `held` what is there.
std::vector<std::string> model_differences(const config::Model& given, const config::Model& held);

}  // namespace cloze
