#include "measure/child.h"

#include <fmt/format.h>

#include <csignal>
#include <utility>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/process.h"

namespace breakeven::measure {
namespace {

std::string with_last_words(std::string message, const Process& process) {
  const std::string words = process.last_words();
  return words.empty() ? message : fmt::format("{}; its last words: {}", message, words);
}

Result<void> check_end(TalkEnd end, const Process& process, double limit_s) {
  switch (end) {
    case TalkEnd::time_limit:
      return fail("child/time-limit",
                  with_last_words(
                      fmt::format("the process of this cell did not end within {:.3g} s", limit_s),
                      process),
                  "give more time, or fewer or shorter texts");
    case TalkEnd::interrupted:
      return fail("child/interrupted", "the process of this cell was interrupted");
    case TalkEnd::too_long:
      return fail("child/garbage", "the process of this cell answered with over 256 MB");
    case TalkEnd::exited:
    case TalkEnd::answered:  // only lines are
    case TalkEnd::closed:
      break;
  }
  if (process.ended_well()) return {};
  const auto message =
      with_last_words(fmt::format("the process of this cell {}", process.ending()), process);
  const auto signal = process.ending_signal();
  if (!signal) return fail("child/failed", message);
  return fail("child/killed", message,
              *signal == SIGKILL ? "the system may have run out of memory; try a smaller batch"
                                 : "this is a bug; please report it");
}

}  // namespace

Result<ChildAnswer> run_child(const std::vector<std::string>& arguments, std::string_view request,
                              double limit_s, const std::atomic<bool>* stop,
                              const std::string& program) {
  ChildAnswer answer;
  answer.started_s = monotonic_clock().now_s();
  auto started = Process::start({program.empty() ? "/proc/self/exe" : program, arguments});
  if (!started) return fail("child/spawn", started.error().message);
  Process& process = **started;
  const TalkEnd end =
      process.talk(request, Until::end, {answer.started_s + limit_s, stop}, answer.json);
  process.kill();  // only what has not ended by itself
  answer.wall_s = monotonic_clock().now_s() - answer.started_s;
  BREAKEVEN_TRY_VOID(check_end(end, process, limit_s));
  if (scan_json(answer.json)) {
    return fail("child/garbage",
                with_last_words(
                    fmt::format("the process of this cell answered with {} bytes that are no JSON",
                                answer.json.size()),
                    process));
  }
  return answer;
}

}  // namespace breakeven::measure
