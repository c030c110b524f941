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
  double flops_per_token_pair = 0;  // attention: scores and context, all layers without a window
  double flops_per_near_pair = 0;   // the same of layers with one
  std::uint64_t window = 0;         // how far those see, either way
};
// An encoder's sizes, and what makes it cost more or less than BERT.
struct EncoderSizes {
  std::size_t layers = 0, hidden = 0, intermediate = 0;
  bool gated = false;        // its FFN has a third matrix
  bool all_rows = false;     // its head reads the last layer's rows, not [CLS] alone
  std::size_t windowed = 0;  // layers that see `window` tokens either way
  std::size_t window = 0;
};
Work work_of(const EncoderSizes& sizes);

struct PassTokens {
  double real = 0, computed = 0;
  double pairs = 0;  // sum of squared computed lengths
  double near = 0;   // pairs within the window
};
// From the texts' bytes: about 4.4 a token in English. Padding really counts.
PassTokens guess_tokens(std::span<const Text> texts, std::uint64_t batch, std::uint64_t max_length,
                        Padding padding, std::uint64_t window = 0);
// Rough by nature (a factor of two): speeds of a thread by precision and instruction set.
double guess_pass_s(const record::Cell& cell, std::string_view instruction_set, const Work& work,
                    std::span<const Text> texts);

}  // namespace breakeven::study
