// Generated text is on stdout as soon as its characters are whole.
#include "trainer/cli/text_stream_out.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace cloze {
namespace {

// Stdout of this process as a pipe, whose buffer the C library would fill before it writes.
class PipedStdout {
 public:
  PipedStdout() : original_(::dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    EXPECT_GE(::dup2(ends[1], STDOUT_FILENO), 0);
    ::close(ends[1]);
    reader_ = ends[0];
  }
  PipedStdout(const PipedStdout&) = delete;
  PipedStdout& operator=(const PipedStdout&) = delete;
  ~PipedStdout() {
    std::fflush(stdout);
    ::dup2(original_, STDOUT_FILENO);
    ::close(original_);
    ::close(reader_);
  }

  // What a reader of the pipe has by now and had not yet.
  std::string arrived() const {
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(reader_, bytes.data(), bytes.size());
    return count > 0 ? std::string(bytes.data(), static_cast<std::size_t>(count)) : std::string();
  }

 private:
  int original_;
  int reader_ = -1;
};

Tokenizer glm() { return Tokenizer::load(CLOZE_SOURCE_DIR "/tests/golden/tokenizer/glm"); }

bool ends_inside_a_character(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return back < length;
  }
  return false;
}

TEST(TextStreamOutTest, EachTokenIsThereBeforeTheNext) {
  const Tokenizer tokenizer = glm();
  // The emoji and the rare character take several tokens each.
  const std::string text = "one, two \U0001F9A9 \U00020B9F \xE5\xBA\x8A!";
  std::string bytes;
  std::string shown;
  std::size_t waits = 0;
  {
    const PipedStdout out;
    TextStreamOut stream(tokenizer);
    for (const std::int32_t id : tokenizer.encode(text)) {
      bytes += tokenizer.decode(std::array{id});
      stream.token(id);
      shown += out.arrived();
      if (ends_inside_a_character(bytes)) {
        ++waits;
        EXPECT_FALSE(ends_inside_a_character(shown));
        EXPECT_LT(bytes.size() - shown.size(), 4U) << "more waits than one character";
      } else {
        EXPECT_EQ(shown, bytes);
      }
    }
    stream.finish();
    EXPECT_EQ(out.arrived(), "");
  }
  EXPECT_EQ(shown, text);
  EXPECT_GE(waits, 4U) << "this tokenizer cuts no character";
}

TEST(TextStreamOutTest, ACharacterThatNeverBecomesWholeIsTold) {
  const Tokenizer tokenizer = glm();
  std::string shown;
  {
    const PipedStdout out;
    TextStreamOut stream(tokenizer);
    stream.text("a\xF0\x9F");
    EXPECT_EQ(out.arrived(), "a");
    stream.finish();
    shown = out.arrived();
  }
  EXPECT_EQ(shown, "\uFFFD");
}

}  // namespace
}  // namespace cloze
