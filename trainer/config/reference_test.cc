// docs/config.md is what the schema says.
#include "trainer/config/reference.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/config/keys.h"
#include "trainer/config/schema_text.h"

namespace cloze {
namespace {

const std::filesystem::path kSource = CLOZE_SOURCE_DIR;
constexpr std::int64_t kLimit = 1 << 20;

std::string reference() {
  return config_reference(read_file(kSource / "configs/schema/run.proto", kLimit));
}

TEST(Reference, EqualsTheCommittedPage) {
  EXPECT_EQ(read_file(kSource / "docs/config.md", kLimit), reference())
      << "run: cloze config document > docs/config.md";
}

TEST(Reference, TheProgramHoldsTheSchemasText) {
  EXPECT_EQ(schema_text(), read_file(kSource / "configs/schema/run.proto", kLimit));
}

TEST(Reference, EveryKeyHasAMeaning) {
  const std::string page = reference();
  EXPECT_EQ(page.find("|  |\n"), std::string::npos) << "a key in the schema has no comment";
  EXPECT_EQ(page.find("`: \n"), std::string::npos) << "a value in the schema has no comment";
  for (const Key& key : all_keys()) {
    EXPECT_NE(page.find("| `" + key.field->name() + "` |"), std::string::npos) << key.name();
  }
}

TEST(Reference, AnotherFileIsAnError) {
  for (const char* text : {"", "syntax = \"proto2\";\nmessage Run {", "}\n"}) {
    try {
      config_reference(text);
      FAIL() << "no error for " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
    }
  }
}

}  // namespace
}  // namespace cloze
