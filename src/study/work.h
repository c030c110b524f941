// What a pass costs before anything ran: for --dry-run, and to share out the first minute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/text.h"
#include "record/record.h"

namespace breakeven::study {

// Floating-point operations of a model.
struct Work {
  double flops_per_token = 0;       // all layers' matrices, 2 per multiply-add
  double flops_per_token_pair = 0;  // attention: scores and context, all layers
};
// Of an encoder of these sizes.
Work work_of(std::size_t layers, std::size_t hidden, std::size_t intermediate);

struct PassTokens {
  double real = 0, computed = 0;
  double pairs = 0;  // sum of squared computed lengths
};
// From the texts' bytes: about 4.4 a token in English. Padding really counts.
PassTokens guess_tokens(std::span<const Text> texts, std::uint64_t batch, std::uint64_t max_length,
                        Padding padding);
// Rough by nature (a factor of two): speeds of a thread by precision and instruction set.
double guess_pass_s(const record::Cell& cell, std::string_view instruction_set, const Work& work,
                    std::span<const Text> texts);

}  // namespace breakeven::study
