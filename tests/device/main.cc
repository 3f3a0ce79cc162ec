// cloze_device_check: are the GPU kernels right on this GPU, and how fast are they?
//
// usage: cloze_device_check [--quick] [--no-benchmarks] [--json FILE] [--filter WORD]
//
// Prints a line for every check as it ends, then "N passed, N failed". Exit code: 0 when all
// passed, 1 when not, 64 when there is no GPU.
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "tests/device/benchmarks.h"
#include "tests/device/gpu.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

struct Options {
  bool quick = false;  // Two storage types, each check once, no benchmarks.
  bool benchmarks = true;
  std::string json;
  std::string filter;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--no-benchmarks") {
      options.benchmarks = false;
    } else if (word == "--quick") {
      options.quick = true;
      options.benchmarks = false;
    } else if ((word == "--json" || word == "--filter") && i + 1 < count) {
      (word == "--json" ? options.json : options.filter) = words[++i];
    } else {
      fail(ExitCode::kUsage, "unknown option " + word,
           "use --quick, --no-benchmarks, --json FILE and --filter WORD");
    }
  }
  return options;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result + "\"";
}

struct Family {
  const char* name;
  void (*checks)(CheckReport&);
};

constexpr Family kFamilies[] = {{"norms", &check_norms},
                                {"activations", &check_activations},
                                {"biases", &check_biases},
                                {"rotary", &check_rotary},
                                {"casts", &check_casts},
                                {"embeddings", &check_embeddings},
                                {"dropout", &check_dropout},
                                {"cross_entropy", &check_cross_entropy},
                                {"adamw", &check_adamw},
                                {"sums", &check_sums},
                                {"values", &check_values},
                                {"attention", &check_attention},
                                {"long_attention", &check_long_attention}};

void write_json(const std::string& path, const FoundGpu& gpu,
                const std::vector<CheckOutcome>& outcomes, const std::vector<Timing>& timings) {
  std::ofstream file(path);
  file << "{\"device\": " << quoted(gpu.name)
       << ", \"compute_capability\": " << quoted(gpu.capability) << ", \"driver\": " << gpu.driver
       << ", \"runtime\": " << gpu.runtime << ", \"memory_bytes\": " << gpu.memory_bytes
       << ",\n \"checks\": [";
  const char* comma = "\n";
  for (const CheckOutcome& outcome : outcomes) {
    file << comma << "  {\"name\": " << quoted(outcome.name)
         << ", \"passed\": " << (outcome.passed ? "true" : "false")
         << ", \"error_share\": " << outcome.error_share
         << ", \"detail\": " << quoted(outcome.detail) << "}";
    comma = ",\n";
  }
  file << "],\n \"timings\": [";
  comma = "\n";
  for (const Timing& timing : timings) {
    file << comma << "  {\"name\": " << quoted(timing.name)
         << ", \"milliseconds\": " << timing.milliseconds << ", \"rate\": " << timing.rate
         << ", \"unit\": " << quoted(timing.unit) << ", \"share_of_copy\": " << timing.share_of_copy
         << "}";
    comma = ",\n";
  }
  file << "]}\n";
}

int run(int count, char** words) {
  const Options options = parse(count, words);
  const FoundGpu gpu = find_gpu();
  std::cout << gpu.name << ", compute capability " << gpu.capability << ", "
            << gpu.memory_bytes / (1 << 20) << " MiB, driver " << gpu.driver << ", runtime "
            << gpu.runtime << std::endl;
  std::vector<CheckOutcome> outcomes;
  std::vector<Timing> timings;
  CheckReport report(
      [&](const CheckOutcome& outcome) {
        std::cout << (outcome.passed ? "pass " : "FAIL ") << outcome.name << "  error "
                  << outcome.error_share << " of what is allowed  " << outcome.detail << std::endl;
        outcomes.push_back(outcome);
      },
      options.quick);
  try {
    for (const Family& family : kFamilies) {
      if (std::string(family.name).find(options.filter) == std::string::npos) continue;
      family.checks(report);
    }
    std::cout << report.passed() << " passed, " << report.failed() << " failed" << std::endl;
    if (!options.json.empty()) write_json(options.json, gpu, outcomes, timings);
    if (options.benchmarks) {
      run_benchmarks(options.filter, [&](const Timing& timing) {
        std::cout << "time " << timing.name << "  " << timing.milliseconds << " ms  " << timing.rate
                  << " " << timing.unit;
        if (timing.share_of_copy > 0) std::cout << "  " << timing.share_of_copy << " of a copy";
        std::cout << std::endl;
        timings.push_back(timing);
      });
    }
  } catch (const DeviceLost& error) {
    std::cout << "stopped: " << error.what() << "\n"
              << report.passed() << " passed, " << report.failed() << " failed" << std::endl;
    if (!options.json.empty()) write_json(options.json, gpu, outcomes, timings);
    return 1;
  }
  if (!options.json.empty()) write_json(options.json, gpu, outcomes, timings);
  return report.failed() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace cloze

int main(int argc, char** argv) {
  try {
    return cloze::run(argc, argv);
  } catch (const cloze::Error& error) {
    std::cerr << "cloze_device_check: " << error.what() << "\n";
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << "cloze_device_check: " << error.what() << "\n";
    return 1;
  }
}
