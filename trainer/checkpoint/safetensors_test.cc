// Safetensors files: what we write reads back, and no hostile header gets through.
#include "trainer/checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::code_of;

constexpr ExitCode kBad = ExitCode::kBadInput;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

ExitCode open_code(const ScratchFolder& scratch, const std::string& bytes) {
  const std::filesystem::path path = scratch.path() / "hostile.safetensors";
  testing::spill(path, bytes);
  return code_of([&] { SafetensorsReader::open(path); });
}

ExitCode header_code(const std::string& json, std::int64_t data_bytes,
                     std::string* text = nullptr) {
  return code_of([&] { parse_safetensors_header(json, data_bytes, "file"); }, text);
}

TEST(SafetensorsTest, WhatIsWrittenReadsBack) {
  const ScratchFolder scratch;
  const std::filesystem::path path = scratch.path() / "a.safetensors";
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<std::uint16_t> bias = {7, 8, 9};
  SafetensorsWriter writer(path,
                           {{"weight", DType::kF32, {2, 3}},
                            {"bias \"\xc3\xa9\"", DType::kBF16, {3}},
                            {"empty", DType::kF32, {0, 4}}},
                           {{"format", "pt"}});
  const auto bytes = std::as_bytes(std::span(weight));
  writer.write(bytes.subspan(0, 5));
  writer.write(bytes.subspan(5));
  writer.write(std::as_bytes(std::span(bias)));
  writer.finish();
  EXPECT_EQ(writer.header_size() % 8, 0);
  const std::string whole = testing::slurp(path);
  EXPECT_EQ(static_cast<std::int64_t>(whole.size()), writer.size());
  EXPECT_EQ(digest_of(whole), writer.digest());

  const SafetensorsReader reader = SafetensorsReader::open(path);
  EXPECT_EQ(reader.header().metadata.at("format"), "pt");
  ASSERT_EQ(reader.tensors().size(), 3U);
  const SafetensorsEntry* entry = reader.find("weight");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->shape, (Shape{2, 3}));
  std::vector<float> part(2);
  reader.read(*entry, 12, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, (std::vector<float>{4, 5}));
  EXPECT_EQ(reader.find("bias \"\xc3\xa9\"")->dtype, DType::kBF16);
  EXPECT_EQ(reader.find("missing"), nullptr);
}

TEST(SafetensorsTest, AWriterThatIsGivenTooMuchOrTooLittleIsABug) {
  const ScratchFolder scratch;
  SafetensorsWriter writer(scratch.path() / "a.safetensors", {{"x", DType::kU8, {2}}}, {});
  const std::vector<std::byte> bytes(3);
  EXPECT_EQ(code_of([&] { writer.write(bytes); }), ExitCode::kInternal);
  EXPECT_EQ(code_of([&] { writer.finish(); }), ExitCode::kInternal);
}

TEST(SafetensorsTest, HeaderLengthsThatLieAreRefused) {
  const ScratchFolder scratch;
  const std::string json = R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(open_code(scratch, with_length(json.size(), json + "a")), ExitCode::kDone);
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{1} << 31,
        (std::uint64_t{1} << 63) - 1, ~std::uint64_t{0}, json.size() + 2}) {
    EXPECT_EQ(open_code(scratch, with_length(length, json + "a")), kBad) << length;
  }
  for (const std::size_t size : {0, 1, 7, 8, 9}) {
    EXPECT_EQ(open_code(scratch, with_length(2, "{}").substr(0, size)), kBad) << size;
  }
}

TEST(SafetensorsTest, AHeaderBeyondTheCapIsRefusedUnread) {
  const ScratchFolder scratch;
  const std::filesystem::path path = scratch.path() / "large.safetensors";
  testing::spill(path, with_length(200 << 20, "{"));
  std::filesystem::resize_file(path, std::int64_t{1} << 40);  // Sparse: 1 TB of nothing.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(path); }), kBad);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100));
}

TEST(SafetensorsTest, TooManyTensorsAreRefused) {
  std::string json = "{";
  for (std::int64_t i = 0; i <= kMaxSafetensorsTensors; ++i) {
    json += str(i > 0 ? "," : "", "\"", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  }
  EXPECT_EQ(header_code(json + "}", 0), kBad);
}

TEST(SafetensorsTest, ByteRangesMustTileTheData) {
  const auto two = [](const std::string& first, const std::string& second) {
    return str(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", first,
               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", second, "}}");
  };
  EXPECT_EQ(header_code(two("[0,4]", "[4,8]"), 8), ExitCode::kDone);
  EXPECT_EQ(header_code(two("[4,8]", "[0,4]"), 8), ExitCode::kDone);
  EXPECT_EQ(header_code(two("[0,4]", "[3,7]"), 8), kBad);  // Overlap.
  EXPECT_EQ(header_code(two("[0,4]", "[0,4]"), 8), kBad);  // The same twice.
  EXPECT_EQ(header_code(two("[0,4]", "[5,9]"), 9), kBad);  // Hole.
  EXPECT_EQ(header_code(two("[0,4]", "[4,8]"), 9), kBad);  // Bytes behind.
  EXPECT_EQ(header_code(two("[0,4]", "[4,8]"), 7), kBad);  // Beyond the file.
  EXPECT_EQ(header_code(two("[4,0]", "[4,8]"), 8), kBad);  // Backwards.
  EXPECT_EQ(header_code(two("[0,5]", "[5,8]"), 8), kBad);  // Not the shape's size.
  EXPECT_EQ(header_code(two("[0,4,4]", "[4,8]"), 8), kBad);
  EXPECT_EQ(header_code(two("[0]", "[4,8]"), 8), kBad);
  EXPECT_EQ(header_code("{}", 1), kBad);
  EXPECT_EQ(header_code("{}", 0), ExitCode::kDone);
}

TEST(SafetensorsTest, NumbersThatOverflowAreRefused) {
  const auto with_shape = [](const std::string& shape) {
    return str(R"({"a":{"dtype":"F64","shape":)", shape, R"(,"data_offsets":[0,0]}})");
  };
  EXPECT_EQ(header_code(with_shape("[0]"), 0), ExitCode::kDone);
  for (const char* shape :
       {"[4294967296,4294967296]", "[2305843009213693952]", "[9223372036854775808]",
        "[18446744073709551616]", "[-1]", "[1.0]", "[1e3]", "[0,9,9,9,9,9,9,9,9]", "[[0]]",
        "[null]", "[\"0\"]", "0", "[true]", "{}"}) {
    EXPECT_EQ(header_code(with_shape(shape), 0), kBad) << shape;
  }
  EXPECT_EQ(
      header_code(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1),
      kBad);
}

TEST(SafetensorsTest, NamesFieldsAndTypesAreChecked) {
  const std::string body = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  const auto named = [&](const std::string& name) { return "{\"" + name + "\":" + body + "}"; };
  EXPECT_EQ(header_code(named("model.layers.0.weight@1,2"), 0), ExitCode::kDone);
  for (const std::string& name :
       {std::string(), std::string("a/../b"), std::string("/etc/passwd"), std::string("\\u0000"),
        std::string("a\\nb"), std::string("\\u001b[2J"), std::string(1 << 20, 'a')}) {
    EXPECT_EQ(header_code(named(name), 0), kBad) << name.substr(0, 20);
  }
  EXPECT_EQ(header_code("{\"a\":" + body + ",\"a\":" + body + "}", 0), kBad);
  for (const char* json : {R"({"a":{"dtype":"X7","shape":[0],"data_offsets":[0,0]}})",
                           R"({"a":{"dtype":8,"shape":[0],"data_offsets":[0,0]}})",
                           R"({"a":{"shape":[0],"data_offsets":[0,0]}})",
                           R"({"a":{"dtype":"U8","shape":[0]}})",
                           R"({"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}})",
                           R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}})",
                           R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":{}}})",
                           R"({"__metadata__":{"a":1}})",
                           R"({"__metadata__":{"a":null}})",
                           R"({"__metadata__":{"a":["b"]}})",
                           R"({"__metadata__":{"a":{"b":"c"}}})",
                           R"({"__metadata__":"a"})",
                           R"({"__metadata__":{"a":"b","a":"c"}})",
                           R"({"__metadata__":{},"__metadata__":{}})",
                           R"({"a":[]})",
                           R"({"a":null})",
                           R"([])",
                           R"( {})",
                           R"({} {})",
                           R"({"a")",
                           "{\"\xff\":1}",
                           "",
                           "{"}) {
    EXPECT_EQ(header_code(json, 0), kBad) << json;
  }
  EXPECT_EQ(header_code("{\"a\":" + std::string(1 << 20, '['), 0), kBad);
}

TEST(SafetensorsTest, OnlyRegularFilesAreOpened) {
  const ScratchFolder scratch;
  const std::filesystem::path fifo = scratch.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(fifo); }), kBad);
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(scratch.path()); }), kBad);
  EXPECT_EQ(code_of([&] { SafetensorsReader::open("/dev/zero"); }), kBad);
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(scratch.path() / "none"); }), kBad);
  testing::spill(scratch.path() / "file", with_length(2, "{}"));
  std::filesystem::create_symlink(scratch.path() / "file", scratch.path() / "link");
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(scratch.path() / "link", true); }),
            ExitCode::kDone);
  EXPECT_EQ(code_of([&] { SafetensorsReader::open(scratch.path() / "link", false); }), kBad);
}

TEST(SafetensorsTest, ChangedHeadersAreReadOrRefusedButNeverBelieved) {
  const std::string good = make_safetensors_header(
      {{"a.weight", DType::kF32, {2, 3}}, {"b", DType::kU8, {5}}, {"c", DType::kF64, {}}},
      {{"format", "pt"}});
  const std::string json = good.substr(8);
  const std::string alphabet = "{}[]\":,0123456789-.eEaU8F\\ntl \x01\xff";
  testing::Random random(3);
  for (int round = 0; round < 30000; ++round) {
    std::string changed = json;
    for (std::int64_t edits = testing::draw(random, 1, 4); edits > 0; --edits) {
      const auto place =
          static_cast<std::size_t>(testing::draw(random, 0, std::ssize(changed) - 1));
      const char c = alphabet[random() % alphabet.size()];
      switch (testing::draw(random, 0, 2)) {
        case 0:
          changed[place] = c;
          break;
        case 1:
          changed.insert(place, 1, c);
          break;
        default:
          changed.erase(place, 1);
      }
    }
    try {
      const SafetensorsHeader header = parse_safetensors_header(changed, 37, "file");
      std::int64_t end = header.data_begin;
      for (const SafetensorsEntry& entry : header.tensors) {
        ASSERT_EQ(entry.begin, end);
        ASSERT_EQ(entry.bytes(), num_elements(entry.shape) * size_of(entry.dtype));
        end = entry.end;
      }
      ASSERT_EQ(end, header.data_begin + 37);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), kBad) << error.what();
    }
  }
}

}  // namespace
}  // namespace cloze
