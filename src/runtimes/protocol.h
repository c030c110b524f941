// The messages of docs/runtimes.md: what is asked of a worker, and its answers, checked. A worker
// is another program: no field of an answer is used before its type, its range and its count are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "classifier/classifier.h"
#include "runtimes/pool.h"

namespace breakeven::runtimes {

constexpr unsigned kProtocolVersion = 2;

// Each is one line with its newline. Invalid UTF-8 goes over as U+FFFD.
std::string hello_request(std::uint64_t id);
// `pytorch`: PyTorch's Python, for the models whose graph only torch.onnx makes; "" = there is
// none.
std::string load_request(std::uint64_t id, const WorkerSpec& spec, const std::string& pytorch);
// `hash_ids`: the answer should hold Received::ids.
std::string texts_request(std::uint64_t id, std::span<const Text> texts, bool hash_ids);
std::string run_request(std::uint64_t id, std::span<const std::uint32_t> indices);
std::string stream_request(std::uint64_t id, std::span<const std::uint32_t> indices,
                           std::size_t batch);
std::string memory_request(std::uint64_t id);
std::string shutdown_request(std::uint64_t id);

struct Progress {
  double done = 0;  // 0 ... 1
  std::string what;
};

// A line from a worker: progress, or the end of the request.
class Reply {
 public:
  // Errors: runtime/garbage (no JSON object, another id, neither ok nor error nor progress),
  // runtime/unsupported, runtime/missing and runtime/refused (the worker answers with an error; it
  // lives on).
  static Result<Reply> parse(std::string_view line, std::uint64_t id);

  const std::optional<Progress>& progress() const { return progress_; }

  struct Body;  // what stands under "ok"
  const Body& body() const { return *body_; }

 private:
  std::optional<Progress> progress_;
  std::shared_ptr<const Body> body_;
};

// Whether an error left the worker alive: it answered, by a refusal.
bool is_refusal(const Error& error);

struct Loaded {
  std::vector<std::string> labels;
  ProblemType problem = ProblemType::single_label;
  std::optional<std::uint64_t> weight_bytes;
  std::string instruction_set;
  std::map<std::string, std::string> settings;
};

struct MemoryUse {
  std::uint64_t peak_rss_bytes = 0;
  std::optional<std::uint64_t> device_peak_bytes;
};

struct Received {
  std::uint64_t count = 0;         // texts that the worker has
  std::vector<std::uint32_t> ids;  // of each text sent: CRC-32 of its token ids; empty = not told
};

// What an answer to run or stream must keep to.
struct Expected {
  std::size_t texts = 0, labels = 0;
  ProblemType problem = ProblemType::single_label;
  std::size_t max_length = 0;
  bool stream = false;
  // By our clock: the request was written after the one, the answer read before the other.
  double sent_s = 0, received_s = 0;
};

struct Classified {
  std::vector<float> logits;  // [n, C]; NaN where the worker says null
  std::vector<std::uint32_t> labels, tokens;
  std::vector<std::uint8_t> cut;
  std::vector<float> scores;
  std::size_t computed_tokens = 0;
  double start_s = 0, end_s = 0;  // end_s > start_s
  StageSeconds stages;            // stream: summed over what works side by side
  unsigned in_flight = 1;         // stream: batches, at most
};

// Errors: runtime/garbage (a field is missing, of another type or out of range; the protocol's
// version is another), runtime/clock (times that cannot be).
Result<Capabilities> read_hello(const Reply& reply);
Result<Loaded> read_load(const Reply& reply);
Result<Received> read_texts(const Reply& reply, std::size_t sent);
Result<Classified> read_classified(const Reply& reply, const Expected& expected);
Result<MemoryUse> read_memory(const Reply& reply);

}  // namespace breakeven::runtimes
