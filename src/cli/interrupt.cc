#include "cli/interrupt.h"

#include <csignal>

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

}  // namespace breakeven::cli
