// TensorBoard's event files: scalars over steps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "trainer/loop/append_file.h"

namespace cloze {

struct Scalar {
  std::string tag;  // Such as "train/loss".
  double value = 0;
};

class TensorBoardWriter {
 public:
  // Makes a new event file in `folder` for a run that goes on after `resume_step`: TensorBoard
  // then drops the later steps of older files in that folder.
  TensorBoardWriter(const std::filesystem::path& folder, std::int64_t resume_step);

  void write(std::int64_t step, std::span<const Scalar> scalars);

  const std::filesystem::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

// The framing of a record: length, masked CRC-32C of it, bytes, masked CRC-32C of them.
std::string tensorboard_record(std::string_view event);

std::uint32_t crc32c(std::string_view bytes);

}  // namespace cloze
