// The sentences of an advice: what stands in headline, ranking, verdicts and notes.
#pragma once

#include <string>
#include <vector>

#include "decide/advice.h"

namespace breakeven::decide {

// "cpu int8, batch 1, 2 threads": what tells the candidates apart, always with device, precision
// and batch.
std::string name_of(const Candidate& candidate, const std::vector<Candidate>& all);

// As Ranked::standing says, but for "cheapest".
std::string standing_of(const Candidate& candidate, const Candidate* winner);
// Why it lost, with its numbers; for the winner what is doubtful about it.
std::string reason_of(const Candidate& candidate, const Candidate* winner);

// Verdicts: nobody keeps the limits; a doubtful rival would be cheaper; nobody to compare with; two
// sides.
std::string none_text(bool any, bool doubt);
std::string rival_text(const Candidate& winner, const Candidate& rival,
                       const std::vector<Candidate>& all);
std::string alone_text(const Candidate& winner, const std::vector<Candidate>& all);
std::string against_text(const Candidate& winner, const Candidate& loser,
                         const std::vector<Candidate>& all, bool sure);

std::string headline_of(const Advice& advice, const Question& question);
// Assumptions and what is missing.
void add_notes(const Question& question, Advice& advice);

// "2.31", "1.20 to 3.40" when the ends differ, "?" when nobody knows.
std::string amount_text(const Amount& amount);
// The same of whole things: "2", "3 [2, 4]".
std::string count_text(const Amount& count);

}  // namespace breakeven::decide
