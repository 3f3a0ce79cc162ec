#include "parallel/device/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::string words_of_loader() {
  const char* words = dlerror();  // NOLINT(concurrency-mt-unsafe): of this thread.
  return words == nullptr ? "no reason given" : words;
}

}  // namespace

SharedLibrary::SharedLibrary(const std::vector<std::string>& names, const std::string& fix)
    : fix_(fix) {
  std::string reasons;
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle_ != nullptr) {
      name_ = name;
      return;
    }
    reasons += str(reasons.empty() ? "" : "; ", words_of_loader());
  }
  fail(ExitCode::kUsage, str("a library does not open: ", reasons), fix);
}

std::filesystem::path SharedLibrary::file() const {
  const link_map* map = nullptr;
  if (dlinfo(handle_, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0) {
    fail(ExitCode::kUsage, str(name_, " has no file: ", words_of_loader()), fix_);
  }
  return map->l_name;
}

std::filesystem::path library_file_of(const void* function) {
  Dl_info found{};
  return dladdr(function, &found) == 0 || found.dli_fname == nullptr ? "" : found.dli_fname;
}

void* SharedLibrary::address_of(const char* symbol) const {
  void* address = dlsym(handle_, symbol);
  if (address == nullptr) {
    fail(ExitCode::kUsage, str(name_, " has no function ", symbol, ": ", words_of_loader()), fix_);
  }
  return address;
}

}  // namespace cloze
