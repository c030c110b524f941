#include "study/work.h"

#include <algorithm>

namespace breakeven::study {
namespace {

// Achieved floating-point operations a second and thread, measured on a few server CPUs.
double guess_speed(Precision precision, std::string_view instruction_set) {
  const bool amx = instruction_set.find("amx") != std::string_view::npos;
  const bool avx512 = instruction_set.find("avx512") != std::string_view::npos;
  if (precision == Precision::bf16) return amx ? 400e9 : 100e9;
  if (precision == Precision::fp32x3) return amx ? 200e9 : 80e9;
  if (precision == Precision::int8) return amx ? 500e9 : avx512 ? 200e9 : 80e9;
  return avx512 ? 80e9 : 40e9;
}

}  // namespace

Work work_of(const EncoderSizes& sizes) {
  const auto hidden = static_cast<double>(sizes.hidden);
  const auto intermediate = static_cast<double>(sizes.intermediate);
  // Of [CLS] rows alone the last layer needs keys and values of all.
  const double whole = static_cast<double>(sizes.layers) - (sizes.all_rows ? 0 : 1);
  const double of_last = sizes.all_rows ? 0 : 4 * hidden * hidden;
  const double ffn = (sizes.gated ? 3 : 2) * hidden * intermediate;
  const double windowed = std::min(whole, static_cast<double>(sizes.windowed));
  Work work;
  work.flops_per_token = whole * 2 * (4 * hidden * hidden + ffn) + of_last;
  work.flops_per_token_pair = (whole - windowed) * 4 * hidden;
  work.flops_per_near_pair = windowed * 4 * hidden;
  work.window = sizes.window;
  return work;
}

PassTokens guess_tokens(std::span<const Text> texts, std::uint64_t batch, std::uint64_t max_length,
                        Padding padding, std::uint64_t window) {
  const double seen = 2 * static_cast<double>(window) + 1;
  constexpr double kBytesPerToken = 4.4;
  const auto longest = static_cast<double>(max_length);
  const auto tokens_of = [&](const Text& text) {
    return std::min(longest, 2 + static_cast<double>(text.bytes()) / kBytesPerToken);
  };
  PassTokens result;
  for (std::size_t begin = 0; begin < texts.size(); begin += batch) {
    const auto group = texts.subspan(begin, std::min<std::size_t>(batch, texts.size() - begin));
    double widest = 0;
    for (const Text& text : group) widest = std::max(widest, tokens_of(text));
    for (const Text& text : group) {
      const double real = tokens_of(text);
      const double computed = padding == Padding::none      ? real
                              : padding == Padding::longest ? widest
                                                            : longest;
      result.real += real;
      result.computed += computed;
      result.pairs += computed * computed;
      result.near += computed * std::min(computed, seen);
    }
  }
  return result;
}

double guess_pass_s(const record::Cell& cell, std::string_view instruction_set, const Work& work,
                    std::span<const Text> texts) {
  const PassTokens tokens =
      guess_tokens(texts, cell.batch, cell.max_length, cell.padding, work.window);
  const double flops = tokens.computed * work.flops_per_token +
                       tokens.pairs * work.flops_per_token_pair +
                       tokens.near * work.flops_per_near_pair;
  constexpr double kGpuSpeed = 50e12;
  const double speed = cell.device.is_cpu() ? guess_speed(cell.precision, instruction_set) *
                                                  std::max(1U, cell.threads)
                                            : kGpuSpeed;
  constexpr double kOverheadPerBatch_s = 2e-4;
  const std::size_t batches = (texts.size() + cell.batch - 1) / cell.batch;
  return flops / speed + static_cast<double>(batches) * kOverheadPerBatch_s;
}

}  // namespace breakeven::study
