// The corpus, the config, the commands and the readers that the tests of whole runs share.
#include "tests/integration/training.h"

#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_reader.h"

namespace cloze {
namespace {

// Every key that no test sets stands here once; the small model takes milliseconds a step.
constexpr const char* kConfig = R"(
run: {name: integration, directory: unset, seed: 7, steps: 6, threads: 1}
model:
  {family: glm4, num_hidden_layers: 4, hidden_size: 32, num_attention_heads: 4,
   intermediate_size: 64, vocab_size: 512, max_position_embeddings: 256}
data: {tokenizer: tokenizer, train: [train], validation: [validation], seq_length: 64}
batch: {global_size: 4, micro_size: 1}
optimizer: {lr: 3e-3}
schedule: {kind: constant, warmup: 0}
checkpoint: {interval: 3}
log: {interval: 1, tensorboard: false}
)";

std::string word_of(std::mt19937& random) {
  std::string word;
  const std::size_t length = 2 + random() % 5;
  while (word.size() < length) word += static_cast<char>('a' + random() % 16);
  return word;
}

// Sentences of words of which some are frequent, as in a language; a blank line parts documents.
void write_text(const std::filesystem::path& path, int documents, unsigned seed) {
  std::mt19937 language(1);
  std::vector<std::string> words;
  while (words.size() < 200) words.push_back(word_of(language));
  std::mt19937 random(seed);
  std::ofstream file(path);
  for (int document = 0; document < documents; ++document) {
    const std::size_t sentences = 2 + random() % 12;
    for (std::size_t sentence = 0; sentence < sentences; ++sentence) {
      const std::size_t length = 4 + random() % 8;
      for (std::size_t i = 0; i < length; ++i) {
        file << words[(random() % 200) * (random() % 200) / 200] << (i + 1 < length ? " " : ". ");
      }
    }
    file << "\n\n";
  }
}

void require_done(const Outcome& outcome) {
  if (outcome.code != 0) throw std::runtime_error(outcome.out + outcome.err);
}

// The workspace, removed when the tests end.
class Workspace {
 public:
  Workspace() {
    std::ofstream(folder_ / "config.yaml") << kConfig;
    write_text(folder_ / "train.txt", 200, 2);
    write_text(folder_ / "validation.txt", 30, 3);
    require_done(run_process({CLOZE_BINARY, "tokenizer", "train", "--input", "train.txt",
                              "--vocab-size", "500", "--output", "tokenizer"},
                             folder_));
    for (const std::string split : {"train", "validation"}) {
      require_done(run_process({CLOZE_BINARY, "prepare", "--input", split + ".txt", "--tokenizer",
                                "tokenizer", "--output", split, "--split-documents", ""},
                               folder_));
    }
  }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  const ScratchFolder scratch_{"integration"};
  const std::filesystem::path& folder_ = scratch_.path();
};

std::vector<nlohmann::json> lines_of(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && !file.eof();) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

}  // namespace

const std::filesystem::path& TrainingTest::workspace() {
  static const Workspace made;
  return made.folder();
}

void TrainingTest::SetUpTestSuite() { workspace(); }

void TrainingTest::SetUp() {
  std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  for (char& letter : name) letter = letter == '/' ? '-' : letter;
  folder_ = name;
  std::filesystem::create_directories(workspace() / folder_);
}

std::filesystem::path TrainingTest::run_folder(const std::string& run) const {
  return workspace() / folder_ / run;
}

std::filesystem::path TrainingTest::step_folder(const std::string& run, std::int64_t step) const {
  std::string digits = std::to_string(step);
  digits.insert(0, 8 - digits.size(), '0');
  return run_folder(run) / "checkpoints" / ("step-" + digits);
}

Words TrainingTest::command(int ranks, const std::string& run, const Words& settings) const {
  Words words;
  if (ranks > 0) words = mpirun_words(ranks);
  words = words + Words{CLOZE_BINARY, "train", "config.yaml", "--set",
                        "run.directory=" + (folder_ / run).string()};
  bool options = false;
  for (const std::string& setting : settings) {
    options = options || setting.starts_with("--");
    if (!options) words.emplace_back("--set");
    words.push_back(setting);
  }
  return words;
}

Outcome TrainingTest::train(int ranks, const std::string& run, const Words& settings) const {
  return run_process(command(ranks, run, settings), workspace());
}

std::unique_ptr<Process> TrainingTest::start(int ranks, const std::string& run,
                                             const Words& settings) const {
  return std::make_unique<Process>(command(ranks, run, settings), workspace());
}

Outcome TrainingTest::train_mixed(int first, const Words& words, const Words& others) {
  return run_process(mpirun_words(first) + words + Words{":", "-n", "1"} + others, workspace());
}

Outcome TrainingTest::cloze(const Words& arguments) const {
  return run_process(Words{CLOZE_BINARY} + arguments, workspace());
}

Outcome TrainingTest::python(const std::string& script, const Words& arguments) {
  const std::filesystem::path source = CLOZE_SOURCE_DIR;
  return run_process(Words{source / ".venv/bin/python", source / script} + arguments, workspace());
}

void TrainingTest::copy_step(const std::string& from, std::int64_t step,
                             const std::string& to) const {
  std::filesystem::create_directories(step_folder(to, step));
  std::filesystem::copy(step_folder(from, step), step_folder(to, step),
                        std::filesystem::copy_options::recursive);
}

std::vector<nlohmann::json> TrainingTest::metrics(const std::string& run) const {
  return lines_of(run_folder(run) / "metrics.jsonl");
}

std::vector<nlohmann::json> TrainingTest::events(const std::string& run) const {
  return lines_of(run_folder(run) / "events.jsonl");
}

std::vector<double> TrainingTest::losses(const std::string& run) const {
  std::vector<double> losses;
  for (const nlohmann::json& line : metrics(run)) losses.push_back(line.at("loss"));
  return losses;
}

Contents TrainingTest::contents(const std::string& run, std::int64_t step) const {
  const Checkpoint checkpoint = Checkpoint::open(step_folder(run, step));
  checkpoint.verify();
  Contents contents;
  for (const std::string& name : checkpoint.names()) {
    contents[name] = std::string(checkpoint.content_digest(name).view());
  }
  return contents;
}

Contents TrainingTest::weights(const std::string& run, std::int64_t step) const {
  Contents weights = contents(run, step);
  std::erase_if(weights, [](const auto& entry) { return entry.first.starts_with("optimizer."); });
  EXPECT_GT(weights.size(), 10U);
  return weights;
}

bool TrainingTest::reaches(const std::string& run, std::size_t steps) const {
  const std::filesystem::path path = run_folder(run) / "metrics.jsonl";
  return wait_until([&] { return count_of(text_of_file(path), "\n") >= steps; });
}

void expect_failure(const Outcome& outcome, int code, const Words& parts) {
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.code, code) << outcome.out << outcome.err;
  ASSERT_EQ(count_of(outcome.out + outcome.err, "FATAL"), 1U) << outcome.out << outcome.err;
  const std::size_t first = outcome.err.find("FATAL rank=");
  ASSERT_NE(first, std::string::npos) << outcome.err;
  const std::string line = outcome.err.substr(first, outcome.err.find('\n', first) - first);
  for (const std::string& part :
       Words{" code=" + std::to_string(code), " host=", " step=", " phase=", " what=", " fix="} +
           parts) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " is not in: " << line;
  }
}

void expect_done(const Outcome& outcome) {
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

Words lines_of_text(const std::string& text) {
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Words mpirun_words(int ranks) {
  return {std::string(CLOZE_SOURCE_DIR) + "/scripts/mpirun", "-n", std::to_string(ranks)};
}

std::string repeated(const std::string& unit, std::size_t size) {
  std::string text;
  while (text.size() < size) text += unit;
  text.resize(size);
  return text;
}

Words glm2021_settings() {
  return {"model.family=glm2021", "model.embedding_dropout=0.1", "model.attention_dropout=0.1",
          "model.output_dropout=0.1"};
}

Words operator+(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace cloze
