// The manifest: its bytes, its names, and what is not believed.
#include "trainer/checkpoint/manifest.h"

#include <gtest/gtest.h>

#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::code_of;

// Two ranks; tensor "w" [4, 2] cut by rows, "b" [2] whole.
checkpoint::Manifest small_manifest() {
  checkpoint::Manifest manifest;
  manifest.set_format_version(kCheckpointFormat);
  *manifest.mutable_state() = testing::test_state();
  manifest.mutable_state()->set_step(7);
  for (int rank = 0; rank < 2; ++rank) {
    checkpoint::File& file = *manifest.add_files();
    file.set_name(rank_file_name(rank));
    file.set_rank(rank);
    file.set_size(rank == 0 ? 100 + 16 + 8 : 100 + 16);
    file.set_digest(std::string(16, 'f'));
    file.set_header_size(100);
    file.set_header_digest(std::string(16, 'h'));
  }
  checkpoint::Tensor& weight = *manifest.add_tensors();
  weight.set_name("w");
  weight.set_dtype("F32");
  weight.add_shape(4);
  weight.add_shape(2);
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    checkpoint::Entry& entry = *weight.add_entries();
    entry.add_offset(rank * 2);
    entry.add_offset(0);
    entry.add_shape(2);
    entry.add_shape(2);
    entry.set_file(rank);
    entry.set_begin(100);
    entry.set_end(116);
    entry.set_digests(std::string(16, 'd'));
  }
  checkpoint::Tensor& bias = *manifest.add_tensors();
  bias.set_name("b");
  bias.set_dtype("F32");
  bias.add_shape(2);
  checkpoint::Entry& entry = *bias.add_entries();
  entry.add_offset(0);
  entry.add_shape(2);
  entry.set_file(0);
  entry.set_begin(116);
  entry.set_end(124);
  entry.set_digests(std::string(16, 'd'));
  return manifest;
}

ExitCode parse_code(const std::string& bytes, std::string* text = nullptr) {
  return code_of([&] { parse_manifest(bytes, "manifest"); }, text);
}

// Bytes with a digest that fits: what an attacker, or another version, would write.
std::string sealed(std::string body) {
  const Digest digest = digest_of(body);
  body += "\x7a\x10";
  body += digest.view();
  return body;
}

TEST(ManifestTest, ReadsBackWhatWasWritten) {
  const checkpoint::Manifest manifest = small_manifest();
  const std::string bytes = serialize_manifest(manifest);
  EXPECT_EQ(bytes, serialize_manifest(manifest));
  const checkpoint::Manifest read = parse_manifest(bytes, "manifest");
  EXPECT_EQ(read.digest().size(), Digest::kBytes);
  EXPECT_EQ(serialize_manifest(read), bytes);
  EXPECT_EQ(read.state().optimizer_steps().at("layer.bias"), 99);
  EXPECT_EQ(read.state().seed(), 18446744073709551615ULL);
}

TEST(ManifestTest, EveryFlippedBitIsFound) {
  const std::string bytes = serialize_manifest(small_manifest());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(parse_code(damaged), ExitCode::kBadInput) << "bit " << bit;
  }
}

TEST(ManifestTest, EveryTruncationIsFound) {
  const std::string bytes = serialize_manifest(small_manifest());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(parse_code(bytes.substr(0, size)), ExitCode::kBadInput) << size;
  }
  EXPECT_EQ(parse_code(bytes + '\0'), ExitCode::kBadInput);
}

TEST(ManifestTest, FieldsOfAnotherVersionAreRefused) {
  const std::string body = [] {
    const std::string bytes = serialize_manifest(small_manifest());
    return bytes.substr(0, bytes.size() - 18);
  }();
  EXPECT_EQ(parse_code(sealed(body)), ExitCode::kDone);
  std::string text;
  EXPECT_EQ(parse_code(sealed(body + "\x30\x01"), &text), ExitCode::kBadInput);  // Field 6.
  EXPECT_NE(text.find("does not know"), std::string::npos) << text;
  // A State that holds one of its own: field 90 of the second message.
  EXPECT_EQ(parse_code(sealed(body + "\x12\x03\xd0\x05\x01")), ExitCode::kBadInput);
  checkpoint::Manifest newer = small_manifest();
  newer.set_format_version(2);
  EXPECT_EQ(parse_code(serialize_manifest(newer), &text), ExitCode::kBadInput);
  EXPECT_NE(text.find("format 2"), std::string::npos) << text;
}

TEST(ManifestTest, DeepNestingAndFalseLengthsAreRefused) {
  std::string nested;
  for (int depth = 0; depth < 20; ++depth) nested += "\xf3\x06";  // Groups in groups.
  EXPECT_EQ(parse_code(sealed(nested)), ExitCode::kBadInput);
  EXPECT_EQ(parse_code(sealed(std::string("\x12\xff\xff\xff\xff\x07", 6))), ExitCode::kBadInput);
  EXPECT_EQ(parse_code(sealed(std::string("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10))),
            ExitCode::kBadInput);
  EXPECT_EQ(parse_code(sealed("")), ExitCode::kBadInput);
}

TEST(ManifestTest, AnOversizedManifestIsRefused) {
  EXPECT_EQ(parse_code(std::string(static_cast<std::size_t>(kMaxManifestBytes) + 1, '\0')),
            ExitCode::kBadInput);
}

TEST(ManifestTest, FalseClaimsAreRefused) {
  using Edit = std::function<void(checkpoint::Manifest&)>;
  const std::vector<std::pair<std::string, Edit>> edits = {
      {"file name up", [](auto& m) { m.mutable_files(0)->set_name("../rank-00000.safetensors"); }},
      {"file name absolute", [](auto& m) { m.mutable_files(0)->set_name("/etc/passwd"); }},
      {"file name with NUL", [](auto& m) { m.mutable_files(0)->set_name(std::string("a\0b", 3)); }},
      {"file name long", [](auto& m) { m.mutable_files(0)->set_name(std::string(300, 'a')); }},
      {"ranks swapped", [](auto& m) { m.mutable_files()->SwapElements(0, 1); }},
      {"file digest short", [](auto& m) { m.mutable_files(0)->set_digest("x"); }},
      {"file size negative", [](auto& m) { m.mutable_files(0)->set_size(-1); }},
      {"file size large", [](auto& m) { m.mutable_files(0)->set_size(INT64_MAX); }},
      {"header size", [](auto& m) { m.mutable_files(0)->set_header_size(108); }},
      {"header size large", [](auto& m) { m.mutable_files(0)->set_header_size(1LL << 40); }},
      {"no files", [](auto& m) { m.clear_files(); }},
      {"tensor name up", [](auto& m) { m.mutable_tensors(0)->set_name("../w"); }},
      {"tensor name empty", [](auto& m) { m.mutable_tensors(0)->set_name(""); }},
      {"tensor name long", [](auto& m) { m.mutable_tensors(0)->set_name(std::string(513, 'a')); }},
      {"tensor twice", [](auto& m) { m.mutable_tensors(1)->set_name("w"); }},
      {"dtype", [](auto& m) { m.mutable_tensors(0)->set_dtype("F33"); }},
      {"dtype size", [](auto& m) { m.mutable_tensors(0)->set_dtype("F64"); }},
      {"shape larger", [](auto& m) { m.mutable_tensors(0)->set_shape(0, 5); }},
      {"shape zero", [](auto& m) { m.mutable_tensors(0)->set_shape(0, 0); }},
      {"shape overflow", [](auto& m) { m.mutable_tensors(0)->set_shape(0, INT64_MAX); }},
      {"shape negative", [](auto& m) { m.mutable_tensors(0)->set_shape(0, -4); }},
      {"dims", [](auto& m) { m.mutable_tensors(0)->mutable_shape()->Resize(10000, 1); }},
      {"entry missing", [](auto& m) { m.mutable_tensors(0)->mutable_entries()->RemoveLast(); }},
      {"entry moved", [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_offset(0, 1); }},
      {"entry outside",
       [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_offset(0, 3); }},
      {"entry dims", [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->add_offset(0); }},
      {"entry file", [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_file(2); }},
      {"entry in other file",
       [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_file(0); }},
      {"entry begin", [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_begin(96); }},
      {"entry end", [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_end(INT64_MIN); }},
      {"digests short",
       [](auto& m) { m.mutable_tensors(0)->mutable_entries(1)->set_digests("d"); }},
      {"digests long",
       [](auto& m) {
         m.mutable_tensors(0)->mutable_entries(1)->set_digests(std::string(32, 'd'));
       }},
      {"step", [](auto& m) { m.mutable_state()->set_step(-1); }},
  };
  EXPECT_EQ(parse_code(serialize_manifest(small_manifest())), ExitCode::kDone);
  for (const auto& [what, edit] : edits) {
    checkpoint::Manifest manifest = small_manifest();
    edit(manifest);
    EXPECT_EQ(parse_code(serialize_manifest(manifest)), ExitCode::kBadInput) << what;
  }
}

TEST(ManifestTest, RandomBytesUnderAGoodDigestAreReadOrRefused) {
  const std::string bytes = serialize_manifest(small_manifest());
  const std::string body = bytes.substr(0, bytes.size() - 18);
  testing::Random random(5);
  for (int round = 0; round < 20000; ++round) {
    std::string changed = body;
    for (std::int64_t edits = testing::draw(random, 1, 5); edits > 0; --edits) {
      const auto place =
          static_cast<std::size_t>(testing::draw(random, 0, std::ssize(changed) - 1));
      switch (testing::draw(random, 0, 2)) {
        case 0:
          changed[place] = static_cast<char>(random() & 0xff);
          break;
        case 1:
          changed.insert(place, changed.substr(random() % changed.size(), random() % 20));
          break;
        default:
          changed.erase(place, random() % 8);
          changed += 'x';
      }
    }
    const ExitCode code = parse_code(sealed(changed));
    ASSERT_TRUE(code == ExitCode::kDone || code == ExitCode::kBadInput);
  }
}

TEST(ManifestTest, NamesOfFoldersFilesAndEntries) {
  EXPECT_EQ(step_folder_name(100), "step-00000100");
  EXPECT_EQ(step_folder_name(1234567890), "step-1234567890");
  EXPECT_EQ(step_of_folder("step-00000100"), 100);
  EXPECT_EQ(step_of_folder("step-1234567890"), 1234567890);
  for (const char* name : {"step-100", "step-", "step-000000100", "step--0000100", "step-0000010a",
                           "Step-00000100", "step-99999999999999999999", "step-00000100 "}) {
    EXPECT_FALSE(step_of_folder(name)) << name;
  }
  EXPECT_EQ(rank_file_name(7), "rank-00007.safetensors");
  EXPECT_EQ(entry_name("w", Box::whole({4, 2})), "w");
  EXPECT_EQ(entry_name("w", Box::cut({4, 2}, 0, 2, 2)), "w@2,0");
  EXPECT_EQ(entry_name("w", Box::cut({4, 2}, 0, 0, 2)), "w@0,0");
}

}  // namespace
}  // namespace cloze
