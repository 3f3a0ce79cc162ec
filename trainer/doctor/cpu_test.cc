// /proc/cpuinfo of several machines, lists of cores, and what is said of them.
#include "trainer/doctor/cpu.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

// Two sockets of two cores with two threads each; the flags of Sapphire Rapids, shortened.
std::string xeon() {
  std::string text;
  for (int processor = 0; processor < 8; ++processor) {
    text += "processor\t: " + std::to_string(processor) +
            "\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\n"
            "physical id\t: " +
            std::to_string(processor % 2) +
            "\nsiblings\t: 4\ncore id\t\t: " + std::to_string(processor / 2 % 2) +
            "\ncpu cores\t: 2\nflags\t\t: fpu sse4_2 avx avx2 fma f16c bmi1 bmi2 abm movbe xsave "
            "avx512f avx512bw avx512cd avx512dq avx512vl avx512_bf16 avx512_vnni amx_bf16 "
            "amx_tile\nbugs\t\t: spectre_v1\n\n";
  }
  return text;
}

constexpr const char* kNehalem =
    "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU           X5570  @ 2.93GHz\n"
    "physical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu sse4_1 sse4_2 popcnt\n\n";

constexpr const char* kGraviton =
    "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd evtstrm aes sve bf16\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n"
    "processor\t: 1\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd evtstrm aes sve bf16\n\n";

constexpr const char* kPower =
    "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800.000000MHz\n\n";

TEST(CpuTest, AnX86ServerIsCountedByThreadsAndCores) {
  const CpuInfo cpu = parse_cpuinfo(xeon());
  EXPECT_EQ(cpu.model, "Intel(R) Xeon(R) Platinum 8480+");
  EXPECT_EQ(cpu.num_processors, 8);
  EXPECT_EQ(cpu.num_cores, 4);
  EXPECT_TRUE(cpu.flags.contains("amx_tile"));
  const CheckResult cores = check_cpu_cores(cpu, parse_cpu_list("0-7"), parse_cpu_list("2"));
  EXPECT_EQ(cores.status, Status::kOk);
  EXPECT_EQ(cores.value, Value(std::int64_t{8}));
  EXPECT_EQ(cores.detail,
            "1 allowed to this process (2); 4 physical, the rest are their second threads");
}

TEST(CpuTest, OtherArchitecturesAreRead) {
  const CpuInfo arm = parse_cpuinfo(kGraviton);
  EXPECT_EQ(arm.model, "");
  EXPECT_EQ(arm.num_processors, 2);
  EXPECT_EQ(arm.num_cores, 0);
  EXPECT_TRUE(arm.flags.contains("asimd"));
  EXPECT_EQ(check_cpu_model(arm).status, Status::kSkip);
  EXPECT_EQ(check_simd(arm).status, Status::kFail) << "no AVX2 there";
  EXPECT_EQ(parse_cpuinfo(kPower).model, "POWER9, altivec supported");
}

TEST(CpuTest, AbsentTextIsUnknownEverywhere) {
  const CpuInfo cpu = parse_cpuinfo("");
  for (const CheckResult& check :
       {check_cpu_model(cpu), check_simd(cpu), check_cpu_cores(cpu, {}, {})}) {
    EXPECT_EQ(check.status, Status::kSkip) << check.name;
    EXPECT_EQ(value_text(check), "unknown") << check.name;
  }
}

TEST(CpuTest, ACpuWithoutAvx2FailsAndTheMissingIsNamed) {
  const CheckResult simd = check_simd(parse_cpuinfo(kNehalem));
  EXPECT_EQ(simd.status, Status::kFail);
  EXPECT_EQ(simd.value, Value(std::string("below AVX2")));
  EXPECT_NE(simd.detail.find("avx, avx2, fma, f16c"), std::string::npos) << simd.detail;
  EXPECT_FALSE(simd.fix.empty());
}

TEST(CpuTest, Avx512AndWhatLiesBeyondAreNoted) {
  CpuInfo cpu = parse_cpuinfo(xeon());
  CheckResult simd = check_simd(cpu);
  EXPECT_EQ(simd.status, Status::kOk);
  EXPECT_EQ(simd.value, Value(std::string("AVX-512")));
  EXPECT_NE(simd.detail.find("avx512_bf16, avx512_vnni, amx_bf16, amx_tile"), std::string::npos)
      << simd.detail;
  // One of the five is not enough: kernels take AVX-512 whole or not at all.
  cpu.flags.erase("avx512dq");
  EXPECT_EQ(check_simd(cpu).value, Value(std::string("AVX2")));
}

TEST(CpuTest, KernelsBelowTheCpuAreExplained) {
  const CpuInfo cpu = parse_cpuinfo(xeon());
  const CheckResult all = check_kernels(cpu, InstructionSet::kAvx512, /*tiles=*/true);
  EXPECT_EQ(all.value, Value(std::string("AVX-512 and AMX")));
  const CheckResult kept = check_kernels(cpu, InstructionSet::kAvx512, /*tiles=*/false);
  EXPECT_EQ(kept.value, Value(std::string("AVX-512")));
  EXPECT_NE(kept.detail.find("has AMX"), std::string::npos) << kept.detail;
  const CheckResult hidden = check_kernels(cpu, InstructionSet::kAvx2, /*tiles=*/false);
  EXPECT_EQ(hidden.value, Value(std::string("AVX2")));
  EXPECT_NE(hidden.detail.find("GLIBC_TUNABLES"), std::string::npos);
}

TEST(CpuTest, ListsOfCoresAreReadAndWritten) {
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11\n"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(parse_cpu_list("5"), (std::vector<int>{5}));
  EXPECT_EQ(parse_cpu_list("2,0-2"), (std::vector<int>{0, 1, 2}));
  for (const char* bad : {"", "\n", "a", "3-1", "-1", "0-", "0,,1", "0,", "0-99999999999"}) {
    EXPECT_FALSE(parse_cpu_list(bad)) << bad;
  }
  for (const char* text : {"0-3,8,10-11", "5", "0,2,4"}) {
    EXPECT_EQ(cpu_list_text(*parse_cpu_list(text)), text);
  }
}

TEST(CpuTest, ListsOfRanksAreWrittenInOrder) {
  EXPECT_EQ(rank_list_text({3}), "rank 3");
  EXPECT_EQ(rank_list_text({5, 2, 0, 1}), "ranks 0-2,5");
}

}  // namespace
}  // namespace cloze
