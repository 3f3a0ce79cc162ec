// What was found of GPUs, made up: on a machine with them, without, and where something is missing.
#include "trainer/doctor/gpus.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cloze {
namespace {

GpuFound gpu(const std::string& uuid) {
  return {.name = "NVIDIA H100",
          .uuid = uuid,
          .capability = "9.0",
          .memory_bytes = std::int64_t{80} << 30};
}

// A host where everything is as it should be.
GpuSetup whole(std::vector<GpuFound> gpus) {
  GpuSetup setup;
  setup.environment.found = "NCCL_COMM_ID is not set";
  setup.runtime = {.found = "CUDA 13.0", .detail = "/lib/libcudart.so.13"};
  setup.driver.found = "580.65.06";
  setup.gpus = std::move(gpus);
  setup.torch.found = "2.11.0";
  setup.kernels.found = "00ff";
  setup.nccl.found = "2.28.9";
  return setup;
}

// One where nothing opens.
GpuSetup bare() {
  GpuSetup setup;
  setup.environment.found = "NCCL_COMM_ID is not set";
  for (GpuPart* part : {&setup.runtime, &setup.driver, &setup.torch, &setup.kernels, &setup.nccl}) {
    *part = {.problem = "a library does not open", .fix = "install it"};
  }
  return setup;
}

CheckResult check_of(const std::vector<CheckResult>& checks, const std::string& name) {
  const auto found = std::ranges::find(checks, name, &CheckResult::name);
  if (found != checks.end()) return *found;
  ADD_FAILURE() << name;
  return {};
}

bool has(const std::vector<CheckResult>& checks, const std::string& name) {
  return std::ranges::find(checks, name, &CheckResult::name) != checks.end();
}

Status worst_of(const std::vector<CheckResult>& checks) {
  return std::ranges::max_element(checks, {}, &CheckResult::status)->status;
}

TEST(GpusTest, TravelBetweenProcessesAsOneText) {
  GpuSetup setup = whole({gpu("GPU-a"), gpu("GPU-b")});
  setup.gpus[1].problem = "too old";
  setup.doing = "opening";
  setup.ended = "ends with 139";
  setup.nccl_shares = true;
  setup.sharing = {.problem = "no", .fix = "yes"};
  setup.start = {.found = "1 s", .detail = "x"};
  setup.visible.problem = "y";
  EXPECT_EQ(unpack_gpus(pack(setup)), setup);
  EXPECT_EQ(unpack_gpus(pack(GpuSetup())), GpuSetup());
  EXPECT_ANY_THROW(unpack_gpus("{}"));
  EXPECT_ANY_THROW(unpack_gpus(""));
}

TEST(GpusTest, AWholeSetupIsFineWhetherItIsAskedForOrNot) {
  for (const bool asked : {false, true}) {
    const auto checks =
        check_gpus(whole({gpu("GPU-a"), gpu("GPU-b")}), {.is_asked = asked, .world_size = 2});
    EXPECT_EQ(worst_of(checks), Status::kOk);
    EXPECT_EQ(value_text(check_of(checks, "gpu")), "2 GPUs");
    EXPECT_EQ(check_of(checks, "gpu").detail, "2 x NVIDIA H100");
    const CheckResult device = check_of(checks, "gpu.device");
    EXPECT_EQ(value_text(device), "NVIDIA H100");
    EXPECT_EQ(device.detail, "80.0 GiB, compute capability 9.0, GPU-a");
    EXPECT_EQ(std::ranges::count(checks, "gpu.device", &CheckResult::name), 2);
    EXPECT_EQ(value_text(check_of(checks, "gpu.runtime")), "CUDA 13.0");
    EXPECT_EQ(value_text(check_of(checks, "gpu.driver")), "580.65.06");
    EXPECT_EQ(value_text(check_of(checks, "gpu.nccl")), "2.28.9");
    EXPECT_FALSE(has(checks, "gpu.start")) << "nobody tried";
  }
}

TEST(GpusTest, AHostWithoutGpusIsFineUnlessTheyAreAskedFor) {
  const auto checks = check_gpus(bare(), {});
  for (const CheckResult& check : checks) {
    EXPECT_TRUE(check.status == Status::kSkip || check.status == Status::kOk) << check.name;
    EXPECT_TRUE(check.fix.empty()) << check.name << ": only what is wrong has a fix";
  }
  EXPECT_EQ(value_text(check_of(checks, "gpu")), "none");
  EXPECT_NE(check_of(checks, "gpu").detail.find("on the CPU"), std::string::npos);
  EXPECT_EQ(check_of(checks, "gpu.torch").detail, "a library does not open") << "it is still told";

  const auto asked = check_gpus(bare(), {.is_asked = true, .world_size = 2});
  for (const char* name :
       {"gpu", "gpu.driver", "gpu.runtime", "gpu.torch", "gpu.kernels", "gpu.nccl"}) {
    const CheckResult check = check_of(asked, name);
    EXPECT_EQ(check.status, Status::kFail) << name;
    EXPECT_EQ(check.detail, "a library does not open") << name;
    EXPECT_EQ(check.fix, "install it") << name;
  }
}

TEST(GpusTest, AGpuThatLiesIdleForWantOfSomethingIsWarnedOf) {
  const auto unseen = check_gpus(bare(), {.accelerators = {"nvidia0"}});
  EXPECT_EQ(check_of(unseen, "gpu").status, Status::kWarn);
  EXPECT_EQ(check_of(unseen, "gpu").detail, "/dev has nvidia0; a library does not open");
  EXPECT_EQ(worst_of(unseen), Status::kWarn);
  GpuSetup without_kernels = whole({gpu("GPU-a")});
  without_kernels.kernels = {.problem = "of another build", .fix = "build"};
  const auto checks = check_gpus(without_kernels, {});
  EXPECT_EQ(check_of(checks, "gpu").status, Status::kOk);
  EXPECT_EQ(check_of(checks, "gpu.kernels").status, Status::kWarn);
  EXPECT_EQ(value_text(check_of(checks, "gpu.kernels")), "unusable");
  EXPECT_EQ(check_of(checks, "gpu.kernels").fix, "build");
}

TEST(GpusTest, WhatThisProgramDoesNotUseIsWarnedOf) {
  const CheckResult check = check_of(check_gpus(bare(), {.accelerators = {"kfd"}}), "gpu");
  EXPECT_EQ(check.status, Status::kWarn);
  EXPECT_NE(check.detail.find("kfd, which this program does not use"), std::string::npos);
}

TEST(GpusTest, NcclIsNeededByRanksThatTalkThroughIt) {
  GpuSetup setup = whole({gpu("GPU-a")});
  setup.nccl = {.problem = "libnccl.so.2 is NCCL 2.20.5, which is too old", .fix = "install NCCL"};
  const auto status = [&](const GpuWish& wish) {
    return check_of(check_gpus(setup, wish), "gpu.nccl").status;
  };
  EXPECT_EQ(status({.is_asked = true, .world_size = 2}), Status::kFail);
  EXPECT_EQ(status({.is_asked = true}), Status::kWarn) << "one rank does without it";
  EXPECT_EQ(status({.world_size = 2}), Status::kWarn);
  EXPECT_EQ(status({.is_asked = true, .share_gpus = true, .world_size = 2}), Status::kSkip);
  setup.nccl_shares = true;
  EXPECT_EQ(status({.is_asked = true, .share_gpus = true, .world_size = 2}), Status::kFail);
}

TEST(GpusTest, AnAddressForNcclAndAnOldGpuAreTold) {
  GpuSetup setup = whole({gpu("GPU-a")});
  setup.environment = {.found = "NCCL_COMM_ID is set", .problem = "refused", .fix = "unset it"};
  setup.gpus[0].problem = "no kernels";
  setup.gpus[0].fix = "other GPUs";
  const auto checks = check_gpus(setup, {.is_asked = true});
  EXPECT_EQ(check_of(checks, "gpu.environment").status, Status::kFail);
  EXPECT_EQ(check_of(checks, "gpu.environment").fix, "unset it");
  EXPECT_EQ(check_of(checks, "gpu.device").status, Status::kFail);
  EXPECT_EQ(check_of(check_gpus(setup, {}), "gpu.environment").status, Status::kWarn);
}

TEST(GpusTest, AProcessThatDiesOfALibraryIsToldWithWhatItWasDoing) {
  GpuSetup setup = whole({gpu("GPU-a")});
  setup.torch = {};
  setup.ended = "ends with 139";
  setup.doing = "opening libtorch_cuda.so";
  const auto checks = check_gpus(setup, {.is_asked = true});
  const CheckResult check = check_of(checks, "gpu");
  EXPECT_EQ(check.status, Status::kFail);
  EXPECT_NE(check.detail.find("ends with 139, opening libtorch_cuda.so"), std::string::npos);
  EXPECT_EQ(check_of(checks, "gpu.torch").status, Status::kSkip) << "nobody knows";
  GpuSetup nothing;
  nothing.ended = "ends with 139";
  const CheckResult skipped = check_of(check_gpus(nothing, {}), "gpu");
  EXPECT_EQ(skipped.status, Status::kSkip) << "on a host without GPUs nothing is wrong";
  EXPECT_NE(skipped.detail.find("ends with 139"), std::string::npos);
}

std::vector<RankGpus> two_hosts() {
  return {{.rank = 0, .host = "a", .place = 0, .setup = whole({gpu("GPU-a"), gpu("GPU-b")})},
          {.rank = 1, .host = "a", .place = 1, .setup = whole({gpu("GPU-a"), gpu("GPU-b")})},
          {.rank = 2, .host = "b", .place = 0, .setup = whole({gpu("GPU-c")})}};
}

TEST(GpusOfJobTest, OneRankAGpuOnLikeHostsIsFine) {
  const auto checks = check_gpus_of_job(two_hosts(), {.is_asked = true, .world_size = 3});
  EXPECT_EQ(worst_of(checks), Status::kOk);
  EXPECT_EQ(value_text(check_of(checks, "gpu.ranks")), "3 GPUs");
  EXPECT_EQ(value_text(check_of(checks, "alike.nccl")), "2.28.9");
  EXPECT_EQ(check_of(checks, "alike.gpu_driver").detail, "on all hosts");
}

TEST(GpusOfJobTest, TwoRanksOnOneGpuAreNamed) {
  std::vector<RankGpus> ranks = two_hosts();
  ranks.push_back({.rank = 3, .host = "b", .place = 1, .setup = ranks[2].setup});
  GpuWish wish{.is_asked = true, .world_size = 4};
  const CheckResult refused = check_of(check_gpus_of_job(ranks, wish), "gpu.ranks");
  EXPECT_EQ(refused.status, Status::kFail);
  EXPECT_NE(refused.detail.find("ranks 2-3 share one GPU, GPU-c"), std::string::npos);
  EXPECT_NE(refused.fix.find("--share-gpus"), std::string::npos);
  wish.is_asked = false;
  EXPECT_EQ(check_of(check_gpus_of_job(ranks, wish), "gpu.ranks").status, Status::kWarn);
  wish = {.is_asked = true, .share_gpus = true, .world_size = 4};
  EXPECT_EQ(check_of(check_gpus_of_job(ranks, wish), "gpu.ranks").status, Status::kOk);
  for (RankGpus& rank : ranks) {
    rank.setup.nccl_shares = true;
    rank.setup.sharing = {.problem = "NCCL 2.28.9 carries nothing", .fix = "unset it"};
  }
  const CheckResult old = check_of(check_gpus_of_job(ranks, wish), "gpu.ranks");
  EXPECT_EQ(old.status, Status::kFail);
  EXPECT_EQ(old.fix, "unset it");
}

TEST(GpusOfJobTest, WhatDiffersBetweenHostsIsTold) {
  std::vector<RankGpus> ranks = two_hosts();
  ranks[2].setup.nccl.found = "2.30.0";
  ranks[2].setup.driver.found = "570.1";
  ranks[2].setup.kernels.found = "ee";
  ranks[2].setup.gpus[0].name = "NVIDIA A100";
  const auto checks = check_gpus_of_job(ranks, {.is_asked = true, .world_size = 3});
  EXPECT_EQ(value_text(check_of(checks, "alike.nccl")), "2.28.9 on a; 2.30.0 on b");
  EXPECT_EQ(check_of(checks, "alike.nccl").status, Status::kFail) << "training refuses it";
  EXPECT_EQ(check_of(checks, "alike.gpu_kernels").status, Status::kFail);
  EXPECT_EQ(check_of(checks, "alike.gpu_driver").status, Status::kWarn);
  EXPECT_EQ(check_of(checks, "alike.gpu").status, Status::kWarn);
  EXPECT_EQ(check_of(checks, "alike.gpu_runtime").status, Status::kOk);
  EXPECT_EQ(worst_of(check_gpus_of_job(ranks, {.world_size = 3})), Status::kWarn);
  EXPECT_FALSE(has(check_gpus_of_job(ranks, {.is_asked = true, .share_gpus = true}), "alike.nccl"))
      << "nobody uses it";
}

TEST(GpusOfJobTest, RanksOfOneHostAreComparedToo) {
  std::vector<RankGpus> ranks = two_hosts();
  ranks.pop_back();
  EXPECT_FALSE(has(check_gpus_of_job(ranks, {.world_size = 2}), "alike.nccl"));
  ranks[1].setup.nccl.found = "2.30.0";
  const auto checks = check_gpus_of_job(ranks, {.world_size = 2});
  EXPECT_EQ(value_text(check_of(checks, "alike.nccl")), "2.28.9 on rank 0; 2.30.0 on rank 1");
}

TEST(GpusOfJobTest, AJobWithoutGpusSaysNothing) {
  const std::vector<RankGpus> ranks = {{.rank = 0, .host = "a", .setup = bare()},
                                       {.rank = 1, .host = "b", .setup = bare()}};
  EXPECT_TRUE(check_gpus_of_job(ranks, {.world_size = 2}).empty());
}

}  // namespace
}  // namespace cloze
