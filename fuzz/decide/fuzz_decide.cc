// Whatever a result file holds: the advice on it is an error or an answer, never a crash, and an
// answer never stands on a row that does not count.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "decide/advice.h"
#include "record/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace breakeven;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto journal = record::parse_journal(text, "input");
  if (!journal) return 0;
  decide::Question question;
  question.cpu_price = 0.19;
  question.gpu_price = 0.53;
  for (const bool limited : {false, true}) {
    if (limited) {
      question.p99_s = 0.1;
      question.load_per_s = 40;
      question.memory_bytes = 2e9;
      question.budget_per_month = 200;
      question.accuracy_loss = 0.005;
      question.max_wait_s = 0.005;
    }
    const auto advice = decide::advise(journal->records, question);
    if (!advice || advice->outcome != decide::Outcome::advice) continue;
    const decide::Candidate& winner = advice->candidates.at(advice->winner.value());
    BREAKEVEN_CHECK(winner.unusable.empty() && winner.rate.per_s > 0);
    BREAKEVEN_CHECK(winner.answer() == decide::Answer::keeps);
    BREAKEVEN_CHECK(advice->ranking.size() == advice->candidates.size());
  }
  return 0;
}
