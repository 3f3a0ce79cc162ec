// A hostfile of mpirun. It is refused with exit code 64, naming lines that it has, or it gives
// hosts, each once and with slots, that read back from what we would write of them.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/fuzz/fuzzing.h"
#include "trainer/launch/hostfile.h"

namespace cloze::fuzz {
namespace {

void run(std::string_view input) {
  const auto hosts =
      parsed(ExitCode::kUsage, [&] { return parse_hostfile(input, "fuzzed-hosts"); });
  if (!hosts) return;
  require(!hosts->empty(), "what is read names a host");
  std::string text;
  std::int64_t slots = 0;
  for (const Host& host : *hosts) {
    require(host.slots >= 1, "a host takes ranks");
    require(input.find(host.name) != std::string_view::npos, "a host's name stands in the file");
    require(std::ranges::count(*hosts, host.name, &Host::name) == 1, "a host comes once");
    // A line takes at most a million; more is the sum of several.
    for (std::int64_t left = host.slots; left > 0;) {
      const std::int64_t some = std::min<std::int64_t>(left, 1'000'000);
      text += host.name + " slots=" + std::to_string(some) + "\n";
      left -= some;
    }
    slots += host.slots;
  }
  require(parse_hostfile(text, "again") == *hosts, "what is read is the same when written again");
  check_slots(*hosts, 1, "fuzzed-hosts");
  const bool enough = slots >= 1000;
  const auto checked = parsed(ExitCode::kUsage, [&] {
    check_slots(*hosts, 1000, "fuzzed-hosts");
    return true;
  });
  require(checked.has_value() == enough, "slots are counted over all hosts");
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
