#include "runtimes/environment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "base/process.h"
#include "runtimes/pool.h"
#include "runtimes/scripts.h"

namespace breakeven::runtimes {
namespace {

namespace fs = std::filesystem;

constexpr double kInspectLimit_s = 30;

Result<void> check_known(const std::string& runtime) {
  const auto known = known_runtimes();
  if (std::find(known.begin(), known.end(), runtime) != known.end()) return {};
  return fail("runtime/unknown", fmt::format("there is no runtime '{}' to set up", runtime),
              fmt::format("known are: {}", fmt::join(known, ", ")));
}

bool is_executable(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

// `path`, or the interpreter of the virtual environment that it is.
Result<std::string> interpreter_at(const std::string& runtime, const std::string& path) {
  for (const fs::path& candidate : {fs::path(path), fs::path(path) / "bin" / "python"}) {
    if (is_executable(candidate)) return candidate.string();
  }
  return fail("runtime/interpreter",
              fmt::format("the Python named for {} is none: '{}'", runtime, path),
              "name an interpreter, or the folder of a virtual environment");
}

std::string variable_of(std::string runtime) {
  std::transform(runtime.begin(), runtime.end(), runtime.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
  return "BREAKEVEN_PYTHON_" + runtime;
}

std::string setup_line(const std::string& runtime) {
  return "breakeven runtimes setup " + runtime;
}

struct Found {
  EnvironmentState state = EnvironmentState::missing;
  std::string interpreter, origin;
};

Result<Found> find(const std::string& runtime, const std::map<std::string, std::string>& named) {
  BREAKEVEN_TRY_VOID(check_known(runtime));
  if (const auto given = named.find(runtime); given != named.end()) {
    return Found{EnvironmentState::ready, given->second, "--python"};
  }
  const std::string variable = variable_of(runtime);
  if (const char* given = std::getenv(variable.c_str()); given != nullptr && *given != '\0') {
    BREAKEVEN_TRY(std::string interpreter, interpreter_at(runtime, given));
    return Found{EnvironmentState::ready, std::move(interpreter), variable};
  }
  BREAKEVEN_TRY(const EnvironmentPlace place, environment_place(runtime));
  const auto stamp = read_file(place.stamp);
  if (!stamp || !is_executable(place.interpreter())) return Found{};
  BREAKEVEN_TRY(const std::string requirements, read_file(place.requirements));
  const bool current = *stamp == requirements;
  return Found{current ? EnvironmentState::ready : EnvironmentState::outdated, place.interpreter(),
               "own environment"};
}

// The names in front of "==", each once, the runtime's own package first.
std::vector<std::string> package_names(const std::string& runtime,
                                       const std::string& requirements) {
  std::vector<std::string> names;
  std::istringstream lines(requirements);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = line.find("==");
    if (line.empty() || line[0] == '#' || end == std::string::npos) continue;
    if (std::string name = line.substr(0, end);
        std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  const std::string own = runtime == "pytorch" ? "torch" : runtime;
  std::stable_partition(names.begin(), names.end(),
                        [&](const std::string& name) { return name == own; });
  return names;
}

// One line a package: its name and its version, which is empty when it is not installed.
constexpr std::string_view kVersions = R"(
import importlib.metadata, sys
for name in sys.argv[1:]:
    found = ""
    for alias in (name, name + "-gpu", name + "-cpu"):
        try:
            found = found or importlib.metadata.version(alias)
        except importlib.metadata.PackageNotFoundError:
            pass
    print(name, found)
)";

Result<std::string> ask_versions(const std::string& interpreter,
                                 const std::vector<std::string>& packages) {
  ProcessOptions options{interpreter, {"-c", std::string(kVersions)}, true};
  options.arguments.insert(options.arguments.end(), packages.begin(), packages.end());
  BREAKEVEN_TRY(const std::unique_ptr<Process> process, Process::start(options));
  std::string answer;
  const AskEnd end = process->ask(
      "", Until::end, {.deadline_s = monotonic_clock().now_s() + kInspectLimit_s}, answer);
  if (end == AskEnd::exited && process->ended_well()) return answer;
  const std::string how = end == AskEnd::exited ? process->ending() : std::string("did not answer");
  return fail("runtime/interpreter",
              fmt::format("{} {}: {}", interpreter, how, process->last_error()),
              "name another Python, or set the runtime up again");
}

}  // namespace

Result<std::map<std::string, std::string>> parse_interpreters(
    const std::vector<std::string>& named) {
  std::map<std::string, std::string> interpreters;
  for (const std::string& pair : named) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      return fail("runtime/interpreter", fmt::format("--python {}: there is no '='", pair),
                  "write NAME=PATH, such as openvino=/opt/ov/bin/python");
    }
    const std::string runtime = pair.substr(0, equals);
    BREAKEVEN_TRY_VOID(check_known(runtime));
    BREAKEVEN_TRY(interpreters[runtime], interpreter_at(runtime, pair.substr(equals + 1)));
  }
  return interpreters;
}

Result<EnvironmentPlace> environment_place(const std::string& runtime) {
  BREAKEVEN_TRY_VOID(check_known(runtime));
  BREAKEVEN_TRY(const std::string scripts, scripts_folder());
  BREAKEVEN_TRY(const std::string cache, cache_folder());
  const std::string folder = cache + "/runtimes/" + runtime;
  return EnvironmentPlace{folder, folder + "/venv", folder + "/requirements.installed",
                          scripts + "/requirements-" + runtime + ".txt"};
}

Result<std::string> find_interpreter(const std::string& runtime,
                                     const std::map<std::string, std::string>& named) {
  BREAKEVEN_TRY(const Found found, find(runtime, named));
  if (found.state == EnvironmentState::ready) return found.interpreter;
  return fail("runtime/missing",
              found.state == EnvironmentState::outdated
                  ? runtime + " was set up with other versions than this program asks for"
                  : runtime + " is not set up",
              setup_line(runtime));
}

Result<EnvironmentStatus> inspect_environment(const std::string& runtime,
                                              const std::map<std::string, std::string>& named) {
  BREAKEVEN_TRY(const Found found, find(runtime, named));
  EnvironmentStatus status{runtime, found.state, found.interpreter, found.origin, {}, ""};
  if (found.state != EnvironmentState::ready) status.hint = setup_line(runtime);
  if (found.interpreter.empty()) return status;
  BREAKEVEN_TRY(const EnvironmentPlace place, environment_place(runtime));
  BREAKEVEN_TRY(const std::string requirements, read_file(place.requirements));
  const std::vector<std::string> packages = package_names(runtime, requirements);
  BREAKEVEN_TRY(const std::string answer, ask_versions(found.interpreter, packages));
  std::istringstream lines(answer);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string name = line.substr(0, space), version = line.substr(space + 1);
    if (!version.empty()) {
      status.packages.emplace_back(name, version);
      continue;
    }
    if (status.state == EnvironmentState::ready) status.state = EnvironmentState::incomplete;
    status.hint +=
        fmt::format("{}{} is not installed there", status.hint.empty() ? "" : ", ", name);
  }
  return status;
}

}  // namespace breakeven::runtimes
