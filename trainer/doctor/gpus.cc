#include "trainer/doctor/gpus.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/doctor/cpu.h"

namespace cloze {
namespace {

constexpr std::array<std::pair<const char*, GpuPart GpuSetup::*>, 9> kParts = {{
    {"environment", &GpuSetup::environment},
    {"runtime", &GpuSetup::runtime},
    {"driver", &GpuSetup::driver},
    {"visible", &GpuSetup::visible},
    {"torch", &GpuSetup::torch},
    {"kernels", &GpuSetup::kernels},
    {"nccl", &GpuSetup::nccl},
    {"start", &GpuSetup::start},
    {"sharing", &GpuSetup::sharing},
}};

constexpr const char* kFixLook =
    "see whether nvidia-smi answers and what dmesg says; --device cpu looks for no GPU";

bool is_nvidia(const std::string& device) { return device.starts_with("nvidia"); }

// What a missing part is: a failure where it was asked for, a warning where a GPU lies idle for
// want of it, and nothing on any other host.
Status severity_of(const GpuSetup& setup, const GpuWish& wish) {
  if (wish.is_asked) return Status::kFail;
  const bool has_gpu = !setup.gpus.empty() || std::ranges::any_of(wish.accelerators, is_nvidia);
  return has_gpu ? Status::kWarn : Status::kSkip;
}

void complain_or_skip(CheckResult& check, Status severity, const std::string& problem,
                      const std::string& fix) {
  complain(check, severity, problem, severity == Status::kSkip ? std::string() : fix);
}

// "8 x NVIDIA H100 80GB HBM3".
std::string kinds_text(const std::vector<GpuFound>& gpus) {
  std::map<std::string, int> counts;
  for (const GpuFound& gpu : gpus) ++counts[gpu.name];
  std::vector<std::string> texts;
  texts.reserve(counts.size());
  for (const auto& [name, count] : counts) texts.push_back(str(count, " x ", name));
  return join(texts);
}

CheckResult check_visible(const GpuSetup& setup, const GpuWish& wish) {
  const Status severity = severity_of(setup, wish);
  CheckResult check{.name = "gpu", .scope = Scope::kRank};
  if (!setup.gpus.empty()) {
    check.value = static_cast<std::int64_t>(setup.gpus.size());
    check.unit = setup.gpus.size() == 1 ? "GPU" : "GPUs";
    check.detail = kinds_text(setup.gpus);
  } else {
    check.value = std::string("none");
    const GpuPart& why = setup.visible.problem.empty() ? setup.runtime : setup.visible;
    const std::string devices = join(wish.accelerators);
    if (severity != Status::kSkip) {
      if (!devices.empty()) check.detail = str("/dev has ", devices);
      if (!why.problem.empty()) complain(check, severity, why.problem, why.fix);
    } else if (!wish.accelerators.empty()) {
      complain(
          check, Status::kWarn,
          str("/dev has ", devices, ", which this program does not use: training is on the CPU"),
          "nothing needs doing; give the device to another program");
    } else {
      check.status = Status::kSkip;
      check.detail = "training is on the CPU; --device cuda tells what GPUs would need";
    }
  }
  if (!setup.ended.empty()) {
    complain_or_skip(check, severity,
                     str("the process that looks ", setup.ended, ", ", setup.doing), kFixLook);
  }
  return check;
}

CheckResult check_device(const GpuFound& gpu, Status severity) {
  CheckResult check{.name = "gpu.device", .value = gpu.name, .scope = Scope::kRank};
  check.detail = value_text({.value = gpu.memory_bytes, .unit = "bytes"});
  if (!gpu.capability.empty()) check.detail += str(", compute capability ", gpu.capability);
  check.detail += str(", ", gpu.uuid);
  if (!gpu.problem.empty()) complain(check, severity, gpu.problem, gpu.fix);
  return check;
}

CheckResult check_part(const std::string& name, const GpuPart& part, Status severity) {
  CheckResult check{.name = name, .scope = Scope::kRank};
  if (part.found.empty() && part.problem.empty()) {
    check.status = Status::kSkip;
    check.detail = "not looked at";
    return check;
  }
  check.value = part.found.empty() ? std::string("unusable") : part.found;
  check.detail = part.detail;
  if (!part.problem.empty()) complain_or_skip(check, severity, part.problem, part.fix);
  return check;
}

CheckResult check_nccl(const GpuSetup& setup, const GpuWish& wish) {
  const Status severity = severity_of(setup, wish);
  if (setup.nccl.problem.empty() || severity == Status::kSkip) {
    return check_part("gpu.nccl", setup.nccl, severity);
  }
  const bool by_host = wish.share_gpus && !setup.nccl_shares;
  const bool is_needed = wish.world_size > 1 && !by_host;
  CheckResult check = check_part("gpu.nccl", setup.nccl, is_needed ? severity : Status::kSkip);
  if (by_host) {
    check.detail += "; ranks that share GPUs do without it";
  } else if (!is_needed) {
    complain(check, Status::kWarn, "more than one rank needs it", setup.nccl.fix);
  }
  return check;
}

CheckResult check_ranks(const std::vector<RankGpus>& ranks, const GpuWish& wish) {
  std::map<std::string, std::vector<const RankGpus*>> users;
  for (const RankGpus& rank : ranks) {
    const auto& gpus = rank.setup.gpus;
    if (gpus.empty()) continue;
    const auto index = static_cast<std::size_t>(rank.place) % gpus.size();
    users[gpus[index].uuid].push_back(&rank);
  }
  CheckResult check{.name = "gpu.ranks", .scope = Scope::kJob};
  check.value = static_cast<std::int64_t>(users.size());
  check.unit = users.size() == 1 ? "GPU" : "GPUs";
  const Status severity = wish.is_asked ? Status::kFail : Status::kWarn;
  bool is_shared = false;
  GpuPart sharing;
  for (const auto& [uuid, sharers] : users) {
    if (sharers.size() == 1) continue;
    std::vector<int> numbers;
    for (const RankGpus* rank : sharers) {
      numbers.push_back(rank->rank);
      if (!rank->setup.sharing.problem.empty()) sharing = rank->setup.sharing;
    }
    check.detail += str(is_shared ? "; " : "", rank_list_text(numbers), " share one GPU, ", uuid);
    is_shared = true;
  }
  if (!is_shared) {
    const std::size_t with_gpu = users.size();
    check.detail = str(with_gpu, with_gpu == 1 ? " rank" : " ranks, one a GPU");
    if (with_gpu < ranks.size()) {
      check.detail += str("; ", ranks.size() - with_gpu, " without a GPU");
    }
  } else if (!wish.share_gpus) {
    complain(check, severity, "cloze train refuses that",
             "start no more ranks on a host than it has GPUs, and let each see all of them; or say "
             "--share-gpus");
  } else if (ranks.front().setup.nccl_shares) {
    if (!sharing.problem.empty()) complain(check, severity, sharing.problem, sharing.fix);
  } else {
    check.detail += "; tensors between ranks go through the hosts' memory, which is slow";
  }
  return check;
}

std::string text_of(const GpuPart& part) { return part.found.empty() ? "none" : part.found; }

// Their hosts; on a single one their numbers.
std::string places_of(const std::vector<const RankGpus*>& ranks, bool is_one_host) {
  std::vector<int> numbers;
  std::set<std::string> hosts;
  for (const RankGpus* rank : ranks) {
    numbers.push_back(rank->rank);
    hosts.insert(rank->host);
  }
  return is_one_host ? rank_list_text(numbers) : join({hosts.begin(), hosts.end()});
}

// What the ranks of a job should have in common, and what it costs when they have not.
struct AlikeGpus {
  const char* name;
  std::string (*of)(const RankGpus& rank);
  bool is_refused;  // By `cloze train`.
  const char* detail;
  const char* fix;
};
constexpr std::array kAlikeGpus = {
    AlikeGpus{"alike.gpu",
              [](const RankGpus& rank) {
                const auto& gpus = rank.setup.gpus;
                if (gpus.empty()) return std::string("none");
                return gpus[static_cast<std::size_t>(rank.place) % gpus.size()].name;
              },
              false, "every step waits for the slowest GPU, and products differ in their last bits",
              "use GPUs of one kind"},
    AlikeGpus{"alike.gpu_driver", [](const RankGpus& rank) { return text_of(rank.setup.driver); },
              false, "what works on one host may not on another",
              "install one version of the driver on all hosts"},
    AlikeGpus{"alike.gpu_runtime", [](const RankGpus& rank) { return text_of(rank.setup.runtime); },
              false, "products may differ in their last bits",
              "install one version of CUDA's runtime and LibTorch on all hosts"},
    AlikeGpus{"alike.gpu_kernels", [](const RankGpus& rank) { return text_of(rank.setup.kernels); },
              true, "these are kernels of different builds, which cloze train refuses",
              "install one build of the program on all hosts"},
    AlikeGpus{"alike.nccl", [](const RankGpus& rank) { return text_of(rank.setup.nccl); }, true,
              "ranks of different versions of NCCL do not understand each other",
              "install the same NCCL on every host; ldconfig -p and LD_LIBRARY_PATH tell which one "
              "a rank finds"},
};

}  // namespace

std::string pack(const GpuSetup& setup) {
  nlohmann::json json = {
      {"doing", setup.doing}, {"ended", setup.ended}, {"nccl_shares", setup.nccl_shares}};
  for (const auto& [name, member] : kParts) {
    const GpuPart& part = setup.*member;
    json[name] = {part.found, part.detail, part.problem, part.fix};
  }
  json["gpus"] = nlohmann::json::array();
  for (const GpuFound& gpu : setup.gpus) {
    json["gpus"].push_back({{"name", gpu.name},
                            {"uuid", gpu.uuid},
                            {"capability", gpu.capability},
                            {"memory_bytes", gpu.memory_bytes},
                            {"problem", gpu.problem},
                            {"fix", gpu.fix}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

GpuSetup unpack_gpus(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  GpuSetup setup{.doing = json.at("doing"), .ended = json.at("ended")};
  setup.nccl_shares = json.at("nccl_shares");
  for (const auto& [name, member] : kParts) {
    const nlohmann::json& part = json.at(name);
    setup.*member = {
        .found = part.at(0), .detail = part.at(1), .problem = part.at(2), .fix = part.at(3)};
  }
  for (const nlohmann::json& gpu : json.at("gpus")) {
    setup.gpus.push_back({.name = gpu.at("name"),
                          .uuid = gpu.at("uuid"),
                          .capability = gpu.at("capability"),
                          .memory_bytes = gpu.at("memory_bytes"),
                          .problem = gpu.at("problem"),
                          .fix = gpu.at("fix")});
  }
  return setup;
}

std::vector<CheckResult> check_gpus(const GpuSetup& setup, const GpuWish& wish) {
  const Status severity = severity_of(setup, wish);
  std::vector<CheckResult> checks = {check_visible(setup, wish)};
  for (const GpuFound& gpu : setup.gpus) checks.push_back(check_device(gpu, severity));
  checks.push_back(check_part("gpu.environment", setup.environment, severity));
  checks.push_back(check_part("gpu.driver", setup.driver, severity));
  checks.push_back(check_part("gpu.runtime", setup.runtime, severity));
  checks.push_back(check_part("gpu.torch", setup.torch, severity));
  checks.push_back(check_part("gpu.kernels", setup.kernels, severity));
  checks.push_back(check_nccl(setup, wish));
  if (setup.start != GpuPart()) checks.push_back(check_part("gpu.start", setup.start, severity));
  return checks;
}

std::vector<CheckResult> skip_gpus() {
  return {unknown("gpu", "not looked for: --device cpu"),
          unknown("gpu.nccl", "not looked for: --device cpu")};
}

std::vector<CheckResult> check_gpus_of_job(const std::vector<RankGpus>& ranks,
                                           const GpuWish& wish) {
  const bool has_gpu =
      std::ranges::any_of(ranks, [](const RankGpus& rank) { return !rank.setup.gpus.empty(); });
  if (!has_gpu && !wish.is_asked) return {};
  std::vector<CheckResult> checks;
  if (has_gpu) checks.push_back(check_ranks(ranks, wish));
  const bool is_one_host = std::ranges::all_of(
      ranks, [&](const RankGpus& rank) { return rank.host == ranks.front().host; });
  const bool by_host = wish.share_gpus && !ranks.front().setup.nccl_shares;
  for (const AlikeGpus& rule : kAlikeGpus) {
    if (by_host && std::string_view(rule.name) == "alike.nccl") continue;  // Nobody uses it.
    std::map<std::string, std::vector<const RankGpus*>> holders;
    for (const RankGpus& rank : ranks) holders[rule.of(rank)].push_back(&rank);
    if (is_one_host && holders.size() == 1) continue;
    CheckResult check{.name = rule.name, .scope = Scope::kJob};
    std::vector<std::string> texts;
    for (const auto& [value, held] : holders) {
      texts.push_back(holders.size() == 1 ? value
                                          : str(value, " on ", places_of(held, is_one_host)));
    }
    check.value = join(texts, "; ");
    if (holders.size() == 1) {
      check.detail = "on all hosts";
    } else {
      complain(check, rule.is_refused && wish.is_asked ? Status::kFail : Status::kWarn, rule.detail,
               rule.fix);
    }
    checks.push_back(check);
  }
  return checks;
}

}  // namespace cloze
