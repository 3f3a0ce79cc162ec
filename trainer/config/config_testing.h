// A small valid config for tests, and texts made from it by changing one line.
#pragma once

#include <string>
#include <vector>

namespace cloze {

// The lines of a config that has every required key and no problem.
inline std::vector<std::string> valid_lines() {
  return {"run:",                      // 1
          "  directory: runs/x",       // 2
          "  steps: 10",               // 3
          "model:",                    // 4
          "  num_hidden_layers: 4",    // 5
          "  hidden_size: 64",         // 6
          "  num_attention_heads: 4",  // 7
          "  intermediate_size: 128",  // 8
          "  vocab_size: 512",         // 9
          "data:",                     // 10
          "  tokenizer: runs/t",       // 11
          "  train: [runs/a]",         // 12
          "batch:",                    // 13
          "  global_size: 8",          // 14
          "optimizer:",                // 15
          "  lr: 3e-4"};               // 16
}

// The config with line `number` (from 1; 17 appends) replaced by `text`, which may be several.
inline std::string config_with(int number, const std::string& text) {
  std::vector<std::string> lines = valid_lines();
  lines.resize(17);
  if (number > 0) lines[static_cast<std::size_t>(number) - 1] = text;
  std::string whole;
  for (const std::string& line : lines) {
    if (!line.empty()) whole += line + "\n";
  }
  return whole;
}

inline std::string valid_config() { return config_with(0, ""); }

}  // namespace cloze
