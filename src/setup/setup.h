// One combination that can be measured or served, as types: which runtime on which device, at which
// precision, how batches are formed. Text exists only where a flag is parsed, in records and on the
// wire to workers; each type is parsed and printed here and nowhere else.
// Reachable from .cu files: C++20 only.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "setup/names.h"

namespace breakeven {

// fp32x3 is fp32 whose GEMMs are three products of 16-bit halves, within about 2^-16 (bf16, on a
// CPU) or 2^-22 (fp16, on a GPU); fp8 is e4m3, on GPUs only.
enum class Precision : std::uint8_t { fp32, bf16, fp16, int8, fp32x3, fp8 };
template <>
struct Names<Precision> {
  static constexpr const char* kWhat = "precision";
  static constexpr std::pair<Precision, std::string_view> kAll[] = {
      {Precision::fp32, "fp32"}, {Precision::fp32x3, "fp32x3"}, {Precision::bf16, "bf16"},
      {Precision::fp16, "fp16"}, {Precision::int8, "int8"},     {Precision::fp8, "fp8"}};
};

// How texts of different lengths share a batch.
enum class Padding : std::uint8_t {
  none,        // packed one after the other: no padding exists
  longest,     // every text padded to the longest of its batch, and really computed
  max_length,  // every text padded to the maximum length, and really computed
};
template <>
struct Names<Padding> {
  static constexpr const char* kWhat = "padding";
  static constexpr std::pair<Padding, std::string_view> kAll[] = {
      {Padding::none, "none"}, {Padding::longest, "longest"}, {Padding::max_length, "max_length"}};
};

enum class Mode : std::uint8_t {
  serial,  // one batch after the other
  stream,  // several batches in flight
  paced,   // requests come at set times, a batcher makes batches of them
};
template <>
struct Names<Mode> {
  static constexpr const char* kWhat = "mode";
  static constexpr std::pair<Mode, std::string_view> kAll[] = {
      {Mode::serial, "serial"}, {Mode::stream, "stream"}, {Mode::paced, "paced"}};
};

// How requests come in paced mode.
enum class Arrivals : std::uint8_t {
  none,      // not paced
  constant,  // evenly
  poisson,   // independent of each other, as from many users
  trace,     // as they came once, faster or slower; over HTTP only
};
template <>
struct Names<Arrivals> {
  static constexpr const char* kWhat = "distribution of arrivals";
  static constexpr std::pair<Arrivals, std::string_view> kAll[] = {{Arrivals::none, ""},
                                                                   {Arrivals::constant, "constant"},
                                                                   {Arrivals::poisson, "poisson"},
                                                                   {Arrivals::trace, "trace"}};
};

// The CPU, or the GPUs that share one stream of batches.
struct Device {
  std::vector<int> gpus{};  // as CUDA counts them; none = the CPU
  bool is_cpu() const { return gpus.empty(); }
  auto operator<=>(const Device&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14
};
std::string to_string(const Device& device);  // "cpu", "cuda:0", "cuda:0+cuda:1"
// Errors: device/unknown (also a GPU that is named twice).
Result<Device> parse_device(std::string_view text);

// An engine, and how it is used. Not an enum: what else there is beside the native engine is
// decided by the scripts in runtimes/.
struct Runtime {
  std::string name = "native";  // native, pytorch, onnxruntime, openvino, ctranslate2
  std::string variant{};        // "seed", "tuned"; "" = its only way
  bool is_native() const;
  auto operator<=>(const Runtime&) const = default;
};
std::string to_string(const Runtime& runtime);  // "native", "pytorch:seed"

// One way in which a runtime can run a model here.
struct Ability {
  std::string variant{};
  Device device{};
  Precision precision = Precision::fp32;
  std::vector<Padding> paddings = {Padding::none};  // the first is the runtime's own choice
};

struct Setup {
  Runtime runtime{};
  Device device{};
  Precision precision = Precision::fp32;
  unsigned threads = 1;  // of the CPU
  std::uint64_t max_length = 512;
  std::uint64_t batch = 1;  // texts at most; paced: that the batcher puts together
  Padding padding = Padding::none;
  Mode mode = Mode::serial;
  // Paced only.
  double rate_per_s = 0;
  Arrivals arrivals = Arrivals::none;
  double max_wait_s = 0;  // the batcher waits at most so long for a batch to fill
  bool operator==(const Setup&) const = default;
};

}  // namespace breakeven
