// Where a study's output goes, and how it is interrupted.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/files.h"
#include "cli/study_options.h"
#include "record/journal.h"

namespace breakeven::cli {
namespace {

std::atomic<bool> stop_flag{false};

extern "C" void on_interrupt(int) {
  stop_flag.store(true);
}

}  // namespace

const std::atomic<bool>& stop_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  // The second signal meets the default action. SA_RESTART: a write in progress goes on.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop_flag;
}

Result<void> check_output(const std::string& path) {
  if (path.empty() || path == "-") return {};
  const auto refuse = [&](const std::string& why) {
    return fail("file/unwritable", fmt::format("cannot write '{}': {}", path, why),
                "choose another file with -o");
  };
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return refuse("it is a folder");
    if (access(path.c_str(), W_OK) != 0) return refuse(std::strerror(errno));
  }
  const std::size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK | X_OK) != 0) return refuse(std::strerror(errno));
  return {};
}

Result<void> write_output(const std::string& path, const std::string& content) {
  if (!path.empty() && path != "-") return write_file_atomic(path, content);
  const bool written = std::fwrite(content.data(), 1, content.size(), stdout) == content.size();
  if (!written || std::fflush(stdout) != 0) {
    // A reader that has seen enough (`| head`) is no mistake of anybody's.
    if (errno == EPIPE) return {};
    return fail("file/unwritable", fmt::format("cannot write to stdout: {}", std::strerror(errno)),
                "give a file with -o");
  }
  return {};
}

std::string new_journal_name() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return record::journal_name(std::chrono::duration<double>(now).count());
}

std::string resume_command(const Context& context, const std::string& journal) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < context.command.size(); ++i) {
    const std::string& word = context.command[i];
    if (word == "--resume" || word == "--journal") {
      ++i;
    } else if (word.rfind("--resume=", 0) != 0 && word.rfind("--journal=", 0) != 0) {
      words.push_back(word.find(' ') == std::string::npos ? word : "'" + word + "'");
    }
  }
  return fmt::format("{} --resume {}", fmt::join(words, " "), journal);
}

}  // namespace breakeven::cli
