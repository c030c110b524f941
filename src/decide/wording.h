// The sentences of an advice: what stands in headline, ranking, verdicts and notes.
#pragma once

#include <string>
#include <vector>

#include "decide/advice.h"

namespace breakeven::decide {

// As Ranked::standing says, but for "cheapest".
std::string standing_of(const Candidate& candidate, const Candidate* winner);
// Why it lost, with its numbers; for the winner what is doubtful about it.
std::string reason_of(const Candidate& candidate, const Candidate* winner);

// Verdicts: nobody keeps the limits; a doubtful rival would be cheaper; nobody to compare with; two
// sides.
std::string none_text(bool any, const Candidate* doubtful);
std::string rival_text(const Candidate& winner, const Candidate& rival);
std::string alone_text(const Candidate& winner, const std::vector<Candidate>& all);
std::string against_text(const Candidate& winner, const Candidate& loser);

std::string headline_of(const Advice& advice, const Question& question);
// Texts a second: "37.9 [27.2, 62.3]", "100 or more", "50.0 ?" when nobody knows the range.
std::string range_text(const Rate& rate);
// Assumptions and what is missing.
void add_notes(const Question& question, Advice& advice);

// What is planned with and, when the ends differ, the range: "2.31", "3.40 (1.20-3.40)"; "?" when
// nobody knows.
std::string amount_text(const Amount& amount);
// The same of whole things: "2", "4 (2-4)".
std::string count_text(const Amount& count);

}  // namespace breakeven::decide
