// A library that is opened while the program runs, for what only some machines have.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cloze {

// Stays open until the process ends: such libraries have threads and handlers of their own.
class SharedLibrary {
 public:
  // Opens the first of `names` that there is. Throws Error kUsage with the loader's words about
  // each and with `fix`.
  SharedLibrary(const std::vector<std::string>& names, const std::string& fix);

  // Sets `function` to what the library calls `symbol`. Throws Error kUsage when it has none.
  template <typename Function>
  void load(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(address_of(symbol));
  }

  const std::string& name() const { return name_; }
  // The file that the loader took.
  std::filesystem::path file() const;

 private:
  void* address_of(const char* symbol) const;

  std::string name_;
  std::string fix_;
  void* handle_ = nullptr;
};

// The file of the library, or the program, that the loader took this function from; empty when it
// is of none.
std::filesystem::path library_file_of(const void* function);

}  // namespace cloze
