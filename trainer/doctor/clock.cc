#include "trainer/doctor/clock.h"

#include <langinfo.h>
#include <locale.h>  // NOLINT(modernize-deprecated-headers): newlocale is POSIX.
#include <sys/stat.h>
#include <sys/timex.h>

#include <cstdio>
#include <ctime>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::string time_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm calendar{};
  ::gmtime_r(&seconds, &calendar);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &calendar);
  return text;
}

std::optional<bool> kernel_synchronised() {
  timex state{};
  const int result = ::adjtimex(&state);  // Reads; nothing is set.
  if (result < 0) return std::nullopt;
  return result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

// When this program was linked; the epoch when it cannot be seen.
WallTime build_time() {
  struct stat status {};
  if (::stat("/proc/self/exe", &status) != 0) return {};
  return std::chrono::system_clock::from_time_t(status.st_mtime);
}

}  // namespace

CheckResult check_clock(WallTime now, WallTime built, std::optional<bool> synchronised) {
  // An archive of the program may carry a time a little ahead.
  constexpr auto kSlack = std::chrono::hours(24);
  const WallTime latest = std::chrono::system_clock::from_time_t(4102444800);  // 2100.
  CheckResult check{.name = "clock.time", .value = time_text(now)};
  if (now + kSlack < built || now > latest) {
    complain(check, Status::kWarn,
             str("it cannot be right: this program was made ", time_text(built)),
             "set the clock (timedatectl set-ntp true)");
  } else if (synchronised) {
    check.detail = *synchronised ? "the kernel says that a time service steers it"
                                 : "the kernel knows of no time service that steers it";
  }
  return check;
}

std::string zone_text(long seconds_east, std::string_view name) {
  const long minutes = seconds_east / 60;
  const long size = minutes < 0 ? -minutes : minutes;
  char text[32];
  std::snprintf(text, sizeof text, "UTC%c%02ld:%02ld", minutes < 0 ? '-' : '+', size / 60,
                size % 60);
  return name.empty() ? std::string(text) : str(text, " ", name);
}

CheckResult check_locale(bool loaded, std::string_view codeset) {
  CheckResult check{.name = "locale"};
  if (!loaded) {
    check.value = std::string("not installed");
    complain(check, Status::kWarn, "the environment names a locale that this host does not have",
             "export LC_ALL=C.UTF-8");
    return check;
  }
  check.value = std::string(codeset);
  if (codeset != "UTF-8") {
    complain(check, Status::kWarn,
             "files are UTF-8 whatever it says, but terminals may show other letters",
             "export LC_ALL=C.UTF-8");
  }
  return check;
}

std::vector<CheckResult> check_clock_and_locale() {
  const WallTime now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  CheckResult zone{.name = "clock.zone"};
  zone.value = zone_text(local.tm_gmtoff, local.tm_zone == nullptr ? "" : local.tm_zone);
  zone.detail = "what this program writes is UTC";

  const locale_t wanted = ::newlocale(LC_ALL_MASK, "", nullptr);
  const bool loaded = wanted != nullptr;
  const std::string codeset = loaded ? ::nl_langinfo_l(CODESET, wanted) : "";
  if (loaded) ::freelocale(wanted);
  return {check_clock(now, build_time(), kernel_synchronised()), zone,
          check_locale(loaded, codeset)};
}

}  // namespace cloze
