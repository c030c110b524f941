#include "runtimes/setup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/files.h"
#include "base/process.h"
#include "runtimes/environment.h"

namespace breakeven::runtimes {
namespace {

namespace fs = std::filesystem;

// Words in the output of pip and venv, and what they mean for the user.
struct Meaning {
  std::string_view words, code, message, hint;
};
constexpr Meaning kMeanings[] = {
    {"No space left on device", "runtime/disk-full", "the disk is full",
     "make room in the cache folder, or set XDG_CACHE_HOME to another disk"},
    {"ensurepip is not", "runtime/no-venv", "this Python cannot make virtual environments",
     "apt-get install python3-venv, or name a Python of your own with --python NAME=PATH"},
    {"No module named venv", "runtime/no-venv", "this Python cannot make virtual environments",
     "apt-get install python3-venv, or name a Python of your own with --python NAME=PATH"},
    {"No module named ensurepip", "runtime/no-venv", "this Python has no ensurepip",
     "apt-get install python3-venv, or name a Python of your own with --python NAME=PATH"},
    {"NewConnectionError", "runtime/network", "PyPI cannot be reached",
     "try again with a network, or set PIP_INDEX_URL to a mirror"},
    {"NameResolutionError", "runtime/network", "PyPI cannot be reached",
     "try again with a network, or set PIP_INDEX_URL to a mirror"},
    {"ConnectTimeoutError", "runtime/network", "PyPI cannot be reached",
     "try again with a network, or set PIP_INDEX_URL to a mirror"},
    {"ReadTimeoutError", "runtime/network", "PyPI does not answer",
     "try again, or set PIP_INDEX_URL to a mirror"},
    {"ProxyError", "runtime/network", "PyPI cannot be reached through the proxy",
     "look at https_proxy, or set PIP_INDEX_URL to a mirror"},
};

class Setup {
 public:
  Setup(std::string runtime, const SetupOptions& options)
      : runtime_(std::move(runtime)),
        options_(options),
        deadline_s_(monotonic_clock().now_s() + options.limit_s) {}

  Result<void> make(const EnvironmentPlace& place, const std::string& requirements);

 private:
  Result<void> run(const std::string& step, std::vector<std::string> command);
  void take_line(const std::string& line);
  Error failure(const std::string& step, AskEnd end, const Process& process) const;
  void tell(std::string_view what) const {
    if (options_.progress) options_.progress(what);
  }

  std::string runtime_;
  const SetupOptions& options_;
  double deadline_s_;
  const Meaning* meaning_ = nullptr;
  std::string last_error_;
};

void Setup::take_line(const std::string& line) {
  if (options_.log) options_.log(line);
  for (const Meaning& meaning : kMeanings) {
    if (meaning_ == nullptr && line.find(meaning.words) != std::string::npos) meaning_ = &meaning;
  }
  if (line.find("ERROR:") != std::string::npos) last_error_ = printable(line);
  for (const auto& [begin, what] :
       {std::pair{"Collecting ", "collecting "}, std::pair{"  Downloading ", "downloading "},
        std::pair{"Installing collected packages", "installing"}}) {
    if (line.rfind(begin, 0) != 0) continue;
    std::string rest = line.substr(std::string_view(begin).size());
    rest = rest.substr(0, rest.find(" (from"));  // pip adds " (from -r ..., line 3)"
    tell(what + (what == std::string_view("installing") ? "" : printable(rest, 90)));
  }
}

Error Setup::failure(const std::string& step, AskEnd end, const Process& process) const {
  if (end == AskEnd::time_limit) {
    return {"runtime/time-limit",
            fmt::format("setting up {}: not done after {:.0f} s", runtime_, options_.limit_s),
            "try again; what pip has downloaded is kept"};
  }
  if (end == AskEnd::interrupted) {
    return {"runtime/interrupted", fmt::format("setting up {} was interrupted", runtime_), ""};
  }
  if (process.ending() == "ended with exit code 127") {  // the shell's
    return {"runtime/no-python",
            fmt::format("setting up {}: there is no '{}'", runtime_, options_.python),
            "apt-get install python3 python3-venv, or name one with --python NAME=PATH"};
  }
  if (meaning_ != nullptr) {
    return {std::string(meaning_->code),
            fmt::format("setting up {}: {}", runtime_, meaning_->message),
            std::string(meaning_->hint)};
  }
  return {"runtime/setup",
          fmt::format("setting up {}: {} {}{}{}", runtime_, step, process.ending(),
                      last_error_.empty() ? "" : ": ", last_error_),
          ""};
}

// Through a shell, so that both of its streams come in the order in which it wrote them.
Result<void> Setup::run(const std::string& step, std::vector<std::string> command) {
  command.insert(command.begin(), {"-c", "exec \"$@\" 2>&1", "sh"});
  BREAKEVEN_TRY(const std::unique_ptr<Process> process,
                Process::start({"/bin/sh", std::move(command), true}));
  std::string line;
  AskEnd end = AskEnd::answered;
  while (end == AskEnd::answered) {
    end = process->ask("", Until::line, {.deadline_s = deadline_s_, .stop = options_.stop}, line);
    if (end == AskEnd::answered) take_line(line);
  }
  if (end == AskEnd::exited && process->ended_well()) return {};
  if (end == AskEnd::closed || end == AskEnd::too_long) process->kill();
  return tl::unexpected<Error>(failure(step, end, *process));
}

Result<void> Setup::make(const EnvironmentPlace& place, const std::string& requirements) {
  tell("making a virtual environment");
  BREAKEVEN_TRY_VOID(run("venv", {options_.python, "-m", "venv", "--clear", place.venv}));
  tell("asking PyPI");
  BREAKEVEN_TRY_VOID(
      run("pip", {place.interpreter(), "-m", "pip", "install", "--no-input", "--progress-bar=off",
                  "--disable-pip-version-check", "--requirement", place.requirements}));
  return write_file_atomic(place.stamp, requirements);
}

// Held until `file` closes.
Result<void> lock(const EnvironmentPlace& place, const std::string& runtime, Descriptor& file) {
  std::error_code error;
  fs::create_directories(place.folder, error);
  file.set(::open((place.folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file.is_open()) {
    return fail(errno == ENOSPC ? "runtime/disk-full" : "runtime/setup",
                fmt::format("{} cannot be written", place.folder),
                "set XDG_CACHE_HOME to a folder that you may write to");
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return {};
  return fail("runtime/busy", fmt::format("another process is setting up {}", runtime),
              "wait for it, then try again");
}

}  // namespace

Result<bool> set_up(const std::string& runtime, const SetupOptions& options) {
  BREAKEVEN_TRY(const EnvironmentPlace place, environment_place(runtime));
  BREAKEVEN_TRY(const std::string requirements, read_file(place.requirements));
  Descriptor locked;
  BREAKEVEN_TRY_VOID(lock(place, runtime, locked));
  std::error_code error;
  if (const auto stamp = read_file(place.stamp);
      stamp && *stamp == requirements && fs::exists(place.interpreter(), error)) {
    return false;
  }
  fs::remove(place.stamp, error);
  Setup setup(runtime, options);
  if (const Result<void> made = setup.make(place, requirements); !made) {
    fs::remove_all(place.venv, error);
    return tl::unexpected<Error>(made.error());
  }
  return true;
}

}  // namespace breakeven::runtimes
