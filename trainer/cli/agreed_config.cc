#include "trainer/cli/agreed_config.h"

#include <cstdio>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/differences.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// "run.seed 8 instead of 7": the first keys in which two serialized configs differ.
std::string keys_that_differ(const std::string& most, const std::string& other) {
  constexpr std::size_t kMostKeys = 8;
  config::Run usual;
  config::Run unusual;
  CLOZE_CHECK(usual.ParseFromString(most) && unusual.ParseFromString(other),
              "a rank's config cannot be read", "all ranks run one build");
  std::vector<std::string> keys;
  for (const Difference& difference : find_differences(usual, unusual)) {
    keys.push_back(str(difference.key, " ", difference.after, " instead of ", difference.before));
  }
  if (keys.size() > kMostKeys) {
    keys.resize(kMostKeys);
    keys.emplace_back("...");
  }
  return join(keys);
}

}  // namespace

LoadedConfig agreed_config(Communicator& world, const std::function<LoadedConfig()>& load) {
  LoadedConfig loaded;
  together(world, [&] { loaded = load(); });
  if (world.rank() == 0) {
    for (const std::string& notice : loaded.notices) {
      std::fprintf(stderr, "notice: %s\n", notice.c_str());
    }
  }
  require_same(world, loaded.run.SerializeAsString(), "config", keys_that_differ);
  return loaded;
}

}  // namespace cloze
