// What the tests of corpora and shard pairs share: whole files and expected errors.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "parallel/base/check.h"

namespace cloze {

inline void write_text(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The error that `body` ends with; a test failure and nothing when it does not.
inline std::optional<Error> error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return std::nullopt;
}

// Demands that `body` ends with `code` and a problem that contains `part`.
inline void expect_error(ExitCode code, std::string_view part, const std::function<void()>& body) {
  const std::optional<Error> error = error_of(body);
  if (!error) return;
  EXPECT_EQ(error->code(), code) << error->what();
  EXPECT_NE(error->problem().find(part), std::string::npos) << error->what() << "\nlacks: " << part;
  EXPECT_FALSE(error->fix().empty());
}

}  // namespace cloze
