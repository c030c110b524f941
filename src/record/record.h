// The result of one cell of a sweep: what was asked, what was measured, how sure it is, and on
// which machine. docs/schema.md describes every field; the JSON names are the member names. No
// logic here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace breakeven::record {

inline constexpr int kSchemaVersion = 1;

// One point of a sweep.
struct Cell {
  std::string runtime = "native";
  std::string device = "cpu";
  std::string precision = "fp32";
  std::uint64_t batch = 1;
  unsigned threads = 1;
  std::uint64_t max_length = 512;
  std::string padding = "none";
  std::string mode = "serial";  // serial, stream, paced
  bool operator==(const Cell&) const = default;
};

struct Interval {
  double low = 0, high = 0;
  double confidence = 0.95;
};

// A number with its interval, when the samples carry one.
struct Estimate {
  double value = 0;
  std::optional<Interval> interval;
};

enum class Verdict : std::uint8_t { valid, noisy, invalid };

// Why a record is not VALID: which threshold, what was seen.
struct Reason {
  std::string code;      // "steal", "foreign-cpu-load", "spread", "parity", "too-few-samples",
                         // "interrupted" ...
  std::string message;   // a sentence for a person
  double value = 0;      // what was seen
  double threshold = 0;  // what is allowed
};

struct Stages {  // seconds a batch, medians over the serial samples
  double tokenize = 0, pack = 0, upload = 0, compute = 0, download = 0, decode = 0;
};

struct Parity {
  std::string judge;        // "native cpu fp32", "reference fp32"
  std::uint64_t texts = 0;  // judged
  std::uint64_t flips = 0;  // labels that differ
  double logit_abs_max = 0, logit_abs_p99 = 0;
  double logit_sigma = 0;            // of the judge's logits over these texts
  std::string outcome = "unproven";  // passed, failed, unproven
};

struct Accuracy {
  std::uint64_t texts = 0;     // labelled texts
  std::uint64_t distinct = 0;  // distinct originals: what the interval counts
  double share = 0;
  Interval interval;  // Wilson, 95 %
};

struct Memory {  // bytes, in a fresh process whose arena is sized for this cell
  std::uint64_t weight_bytes = 0, activation_bytes = 0, library_bytes = 0;
  std::uint64_t peak_allocated_bytes = 0;  // asked for from the allocator at most
  std::uint64_t peak_rss_bytes = 0;        // what the system sees
};

struct Energy {
  std::optional<double> host_joules_gross, host_joules_net, gpu_joules_gross, gpu_joules_net;
  std::string method = "not available";
};

struct Texts {
  std::string name, hash, note;
  std::uint64_t count = 0;        // texts in one pass
  std::uint64_t real_tokens = 0;  // in one pass, cut at max_length
  std::uint64_t computed_tokens = 0;
  double mean_tokens = 0;
};

struct Machine {
  std::string cpu_model, instruction_set, kernel, os, governor;
  unsigned cpus_usable = 0;
  double cpu_quota = 0;
  std::uint64_t memory_bytes = 0;
  std::map<std::string, std::string> more;  // GPU name, UUID, driver ...
};

struct Build {
  std::string version, commit, compiler, flags, build_type;
  std::map<std::string, std::string> libraries;
};

struct Record {
  int schema_version = kSchemaVersion;
  std::string run_id;      // the same for all records of one run
  std::string started_at;  // UTC, ISO 8601
  std::vector<std::string> command;
  Cell cell;
  std::string model_name, model_hash, instruction_set, tokenizer;
  Verdict verdict = Verdict::valid;
  std::vector<Reason> reasons;
  Texts texts;
  std::uint64_t passes = 0;
  std::uint64_t warmup_passes = 0;
  std::vector<double>
      samples_s;  // serial: seconds of each batch, in time order; stream: seconds of each pass
  std::vector<std::uint32_t> sample_positions;  // which batch of the pass each sample is
  std::map<std::string, Estimate> latency_s;  // "p50", "p90" ...: only those that the samples carry
  Estimate reviews_per_s, tokens_per_s;
  std::optional<Stages> stages;  // serial only
  unsigned batches_in_flight = 1;
  std::string bound;  // tokenizer, launch, transfer, compute
  std::optional<Parity> parity;
  std::optional<Accuracy> accuracy;
  std::optional<Memory> memory;
  Energy energy;
  double cold_start_s = 0;  // process start to first label, 0 = not measured
  Machine machine;
  Build build;
};

}  // namespace breakeven::record
