#include "measure/child.h"

#include <fmt/format.h>

#include <csignal>
#include <utility>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/process.h"

namespace breakeven::measure {
namespace {

Result<void> check_end(AskEnd end, const Process& process, double limit_s) {
  switch (end) {
    case AskEnd::time_limit:
      return fail("child/time-limit",
                  process.with_last_error(
                      fmt::format("the process of this cell did not end within {:.3g} s", limit_s)),
                  "give more time, or fewer or shorter texts");
    case AskEnd::interrupted:
      return fail("child/interrupted", "the process of this cell was interrupted");
    case AskEnd::too_long:
      return fail("child/garbage", "the process of this cell answered with over 256 MB");
    case AskEnd::exited:
    case AskEnd::answered:  // only lines are
    case AskEnd::closed:
      break;
  }
  if (process.ended_well()) return {};
  const auto message =
      process.with_last_error(fmt::format("the process of this cell {}", process.ending()));
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
  const AskEnd end =
      process.ask(request, Until::end, {answer.started_s + limit_s, stop}, answer.json);
  process.kill();  // only what has not ended by itself
  answer.wall_s = monotonic_clock().now_s() - answer.started_s;
  BREAKEVEN_TRY_VOID(check_end(end, process, limit_s));
  if (scan_json(answer.json)) {
    return fail("child/garbage",
                process.with_last_error(
                    fmt::format("the process of this cell answered with {} bytes that are no JSON",
                                answer.json.size())));
  }
  return answer;
}

}  // namespace breakeven::measure
