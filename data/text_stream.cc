// Plain, gzip (any number of members) and Zstandard (any number of frames) behind one read().
#include "data/text_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::size_t kInputBytes = std::size_t{1} << 17;

[[noreturn]] void fail_damaged(const File& file, std::int64_t position, const std::string& cause) {
  fail(ExitCode::kBadInput,
       str(file.path().string(), ": damaged near compressed byte ", position, ": ", cause),
       "compress or copy the file again");
}

class PlainStream : public TextStream {
 public:
  explicit PlainStream(File file) : file_(std::move(file)), size_(file_.size()) {}

  std::size_t read(std::span<char> out) override {
    const auto count = static_cast<std::size_t>(
        std::min(static_cast<std::int64_t>(out.size()), size_ - position_));
    file_.read_at(position_, std::as_writable_bytes(out.first(count)));
    position_ += static_cast<std::int64_t>(count);
    return count;
  }
  std::int64_t position() const override { return position_; }

 private:
  File file_;
  std::int64_t size_;
  std::int64_t position_ = 0;
};

// The compressed bytes, a block at a time.
class CompressedInput {
 public:
  explicit CompressedInput(File file) : file_(std::move(file)), size_(file_.size()) {}

  // What is not consumed of the present block, or the next one; empty at the end of the file.
  std::span<char> available() {
    if (used_ == block_.size() && position_ < size_) {
      block_.resize(static_cast<std::size_t>(
          std::min(static_cast<std::int64_t>(kInputBytes), size_ - position_)));
      file_.read_at(position_, std::as_writable_bytes(std::span<char>(block_)));
      position_ += static_cast<std::int64_t>(block_.size());
      used_ = 0;
    }
    return std::span(block_).subspan(used_);
  }
  void consume(std::size_t count) { used_ += count; }
  std::int64_t position() const {
    return position_ - static_cast<std::int64_t>(block_.size() - used_);
  }
  const File& file() const { return file_; }

 private:
  File file_;
  std::int64_t size_;
  std::int64_t position_ = 0;  // Behind the block.
  std::vector<char> block_;
  std::size_t used_ = 0;
};

class GzipStream : public TextStream {
 public:
  explicit GzipStream(File file) : input_(std::move(file)) {
    // 16: with gzip's header and checksum, and nothing else.
    CLOZE_CHECK(inflateInit2(&state_, 16 + MAX_WBITS) == Z_OK, "no memory to decompress with zlib",
                "free memory");
  }
  ~GzipStream() override { inflateEnd(&state_); }

  std::size_t read(std::span<char> out) override {
    const std::size_t wanted = std::min(out.size(), std::size_t{1} << 30);  // uInt inside zlib.
    state_.next_out = reinterpret_cast<Bytef*>(out.data());
    state_.avail_out = static_cast<uInt>(wanted);
    while (state_.avail_out == wanted) {
      const std::span<char> bytes = input_.available();
      if (bytes.empty() && between_members_ && input_.position() > 0) return 0;
      // Even without input there may be output left inside.
      if (!bytes.empty()) between_members_ = false;
      state_.next_in = reinterpret_cast<Bytef*>(bytes.data());
      state_.avail_in = static_cast<uInt>(bytes.size());
      const int status = inflate(&state_, Z_NO_FLUSH);
      input_.consume(bytes.size() - state_.avail_in);
      if (status == Z_STREAM_END) {  // Another member may follow, as in files put together.
        inflateReset(&state_);
        between_members_ = true;
      } else if (status == Z_BUF_ERROR && bytes.empty()) {
        fail_damaged(input_.file(), input_.position(), "the file ends too early");
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        fail_damaged(input_.file(), input_.position(),
                     state_.msg != nullptr ? state_.msg : "no gzip data");
      }
    }
    return wanted - state_.avail_out;
  }
  std::int64_t position() const override { return input_.position(); }

 private:
  CompressedInput input_;
  z_stream state_ = {};
  bool between_members_ = false;
};

class ZstandardStream : public TextStream {
 public:
  // Windows beyond zstd's default limit of 128 MiB are refused, so memory is bounded.
  explicit ZstandardStream(File file) : input_(std::move(file)), state_(ZSTD_createDStream()) {
    CLOZE_CHECK(state_ != nullptr, "no memory to decompress with zstd", "free memory");
  }

  std::size_t read(std::span<char> out) override {
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    while (target.pos == 0) {
      const std::span<char> bytes = input_.available();
      if (bytes.empty() && between_frames_) {
        if (input_.position() > 0) return 0;
        fail_damaged(input_.file(), 0, "the file is empty");
      }
      ZSTD_inBuffer source{bytes.data(), bytes.size(), 0};
      const std::size_t status = ZSTD_decompressStream(state_.get(), &target, &source);
      if (ZSTD_isError(status) != 0) {
        fail_damaged(input_.file(), input_.position(), ZSTD_getErrorName(status));
      }
      input_.consume(source.pos);
      between_frames_ = status == 0;
      if (bytes.empty() && target.pos == 0 && !between_frames_) {
        fail_damaged(input_.file(), input_.position(), "the file ends too early");
      }
    }
    return target.pos;
  }
  std::int64_t position() const override { return input_.position(); }

 private:
  struct Free {
    void operator()(ZSTD_DStream* state) const { ZSTD_freeDStream(state); }
  };

  CompressedInput input_;
  std::unique_ptr<ZSTD_DStream, Free> state_;
  bool between_frames_ = true;
};

}  // namespace

std::unique_ptr<TextStream> TextStream::open(const std::filesystem::path& path) {
  File file = File::open_for_reading(path);
  if (path.extension() == ".gz") return std::make_unique<GzipStream>(std::move(file));
  if (path.extension() == ".zst") return std::make_unique<ZstandardStream>(std::move(file));
  return std::make_unique<PlainStream>(std::move(file));
}

}  // namespace cloze
