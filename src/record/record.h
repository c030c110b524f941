// The result of one cell of a sweep: what was asked, what was measured, how sure it is, and on
// which machine. Plain data, no logic. docs/schema.md describes every field; the JSON names are the
// member names (record/json.h writes and reads them, record/journal.h keeps them in a file).
// A new field needs a line in record/fields.h and one in docs/schema.md; a test finds a missing
// one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "setup/setup.h"

namespace breakeven::record {

// Raised when a field changes its meaning or goes away; added fields do not raise it.
inline constexpr int kSchemaVersion = 2;

// One point of a sweep. Two records with equal cells (and models and texts) answer one question.
using Cell = Setup;
using breakeven::to_string;

struct Interval {
  double low = 0, high = 0;
  double confidence = 0.95;
  bool operator==(const Interval&) const = default;
};

// A number with its interval, when the samples carry one.
struct Estimate {
  double value = 0;
  std::optional<Interval> interval;
  std::uint64_t samples = 0;  // how many samples it stands on; 0 = not from samples
  bool operator==(const Estimate&) const = default;
};

// What a reason makes of its record: a note is worth knowing, invalid rows decide nothing.
enum class Severity : std::uint8_t { note, invalid };

// Whether outputs agree with the judge's; unproven: too few texts.
enum class Agreement : std::uint8_t { unproven, passed, failed };

// Whether time grows linearly with the number of texts.
enum class Linearity : std::uint8_t { cannot_tell, linear, not_linear };

enum class Kind : std::uint8_t { cell, scaling, shard };

// What was seen beside the numbers, and which threshold it passed. docs/measuring.md lists the
// codes.
struct Reason {
  std::string code;      // "steal", "foreign-cpu", "cold", "parity" ...
  std::string message;   // a sentence for a person
  double value = 0;      // what was seen
  double threshold = 0;  // what is allowed
  Severity severity = Severity::note;
  bool operator==(const Reason&) const = default;
};

// Seconds a batch in each stage: medians over the serial samples.
struct Stages {
  double tokenize_s = 0, pack_s = 0, upload_s = 0, compute_s = 0, download_s = 0, decode_s = 0;
  bool operator==(const Stages&) const = default;
};

struct Parity {
  std::string judge;        // "native cpu fp32", "reference fp32"
  std::uint64_t texts = 0;  // judged
  std::uint64_t flips = 0;  // labels that differ
  double logit_abs_max = 0, logit_abs_p99 = 0;
  double logit_sigma = 0;               // of the judge's logits over these texts
  double repeat_abs_max = 0;            // largest change of a logit from one timed pass to another
  std::optional<double> accuracy_loss;  // the judge's share of right labels minus ours
  Agreement outcome = Agreement::unproven;
  std::vector<std::string> limits_broken;  // keys of docs/parity.md
  bool operator==(const Parity&) const = default;
};

struct Accuracy {
  std::uint64_t texts = 0;     // labelled texts
  std::uint64_t distinct = 0;  // distinct originals: what the interval counts
  double share = 0;
  Interval interval;  // Wilson
  bool operator==(const Accuracy&) const = default;
};

// In a fresh process whose arena is sized for this cell. Peaks count from the moment when the
// weights are packed and their source is dropped: what a server holds while it answers.
struct Memory {
  std::uint64_t weight_bytes = 0, activation_bytes = 0;
  std::uint64_t library_bytes = 0;           // peak allocated less weights and activations
  std::uint64_t peak_allocated_bytes = 0;    // handed out by the allocator at most
  std::uint64_t peak_rss_bytes = 0;          // VmHWM: what the system sees
  std::uint64_t loading_peak_rss_bytes = 0;  // the same until the weights were packed
  // Device memory; absent on the CPU.
  std::optional<std::uint64_t> device_peak_allocated_bytes;  // by the engine's own count
  std::optional<std::uint64_t> device_used_bytes;            // by NVML, context included
  std::optional<std::uint64_t> device_library_bytes;         // used less the engine's own peak
  std::optional<std::uint64_t> device_total_bytes;
  std::string method;  // how peak_allocated_bytes was counted; "" = it was not
  bool operator==(const Memory&) const = default;
};

struct Energy {
  std::optional<double> host_joules_gross, host_joules_net;  // net: idle power × time taken off
  std::optional<double> gpu_joules_gross, gpu_joules_net;
  double window_s = 0;      // wall time that the joules cover
  std::uint64_t texts = 0;  // classified in that window
  std::string method = "not available";
  bool operator==(const Energy&) const = default;
};

// Process start to first label, once in a fresh process; the parts are its successive phases.
struct ColdStart {
  double total_s = 0;
  double load_s = 0;        // process start to model loaded
  double pack_s = 0;        // weights packed for the device and precision, arenas made
  double first_pass_s = 0;  // text to label, the first time
  bool operator==(const ColdStart&) const = default;
};

// What decides the speed of an encoder, whatever its weights are.
struct ModelShape {
  std::uint64_t layers = 0, hidden = 0, heads = 0, intermediate = 0;
  bool operator==(const ModelShape&) const = default;
};

struct Texts {
  std::string name, hash, note;
  std::uint64_t count = 0;            // texts in one pass
  std::uint64_t distinct = 0;         // distinct originals among them
  std::uint64_t truncated = 0;        // had more tokens than max_length
  std::uint64_t real_tokens = 0;      // in one pass, cut at max_length
  std::uint64_t computed_tokens = 0;  // in one pass, padding included
  double mean_tokens = 0;
  // Real tokens of each text of one pass, in order, cut at max_length; empty = not known. With them
  // a reader knows every batch's shape under any padding.
  std::vector<std::uint32_t> token_counts{};
  bool operator==(const Texts&) const = default;
};

// What went on around the cell while it was timed.
struct Conditions {
  double wall_s = 0;             // watched time
  double own_cpu_s = 0;          // CPU time of this process
  double steal_share = 0;        // of the usable CPUs' time, taken by the hypervisor
  double foreign_cpu_share = 0;  // of the usable CPUs' time, used by other processes
  double load_average_1m = 0;    // at the start
  std::uint64_t involuntary_switches = 0, voluntary_switches = 0, major_faults = 0;
  std::optional<double> cpu_mhz_median, cpu_mhz_min;
  std::optional<double> temperature_c_max;
  std::optional<std::uint64_t> throttle_events;
  bool operator==(const Conditions&) const = default;
};

// The GPU of the cell and what its counters said meanwhile.
struct Gpu {
  std::string name, uuid, driver, runtime;  // runtime: CUDA's version
  std::uint64_t memory_bytes = 0;
  std::optional<Stages> event_stages;  // by device events: beside the host clock, never instead
  std::optional<double> busy_share;    // serial: event seconds ÷ seconds from text to label
  std::optional<double> utilisation_share, sm_mhz_median, sm_mhz_min, sm_mhz_limit,
      memory_mhz_median;
  std::optional<double> temperature_c_max, power_w_mean, power_limit_w;
  std::vector<std::string> throttle_reasons;
  std::uint64_t looks = 0;            // at the counters while the cell was timed
  std::uint64_t throttled_looks = 0;  // of those, with heat or a brake slowing the clocks
  std::uint64_t foreign_processes = 0;
  std::string counters;  // "NVML", or "not available: ..."
  bool operator==(const Gpu&) const = default;
};

// What only paced mode has: requests that were due at set times, answered in batches.
struct Paced {
  std::uint64_t requests = 0;  // due in the counted window
  std::uint64_t answered = 0;  // of those; fewer only when more came than could be answered
  double window_s = 0;
  bool saturated = false;             // at its limit: the queue grows as long as the load lasts
  double busy_share = 0;              // of the window in which a batch was under way
  double mean_batch = 0;              // texts a batch, as the batcher made them
  double wait_s_p50 = 0;              // from due to the start of its batch: filling and queueing
  double batch_s_p50 = 0;             // a batch alone
  double late_s_max = 0;              // how late our own scheduler started a batch at worst
  std::uint64_t tail_episodes = 0;    // busy periods that hold the slowest 1 % of the requests
  std::uint64_t seed = 0;             // of the moments and texts that were drawn
  std::optional<double> p99_limit_s;  // the rate was one of a search for this limit
  bool operator==(const Paced&) const = default;
};

// What only requests over HTTP have (`breakeven load`): who was asked and how, what became of those
// that were not answered, and what the way there and back costs without a model.
struct Http {
  std::string url, interface, server;  // server: its name and version, where it tells
  bool keep_alive = true;              // false: a connection for each request
  bool local = false;                  // client and server share the machine
  std::uint64_t connections = 0;       // made so far in the run
  double timeout_s = 0;  // from when a request was due; failed ones count as this long
  // Of the counted requests.
  std::uint64_t refused = 0, timed_out = 0, errors = 0, malformed = 0, broken = 0, unsent = 0;
  std::optional<double> sent_s_p99;              // counted from when they were really sent
  std::optional<double> goodput_per_s;           // answered within the limit
  std::optional<double> null_s_p50, null_s_p99;  // of the server's null reply
  std::optional<double> null_per_s;              // as many of them as it answers
  std::optional<double> client_cpu_s;            // this program's CPU time for one of them
  bool operator==(const Http&) const = default;
};

// One visit to the cell. A sweep visits every cell once a round, so that the visits of two cells in
// one round saw the machine at nearly the same time. Rounds, not samples, are what a result is
// repeated over.
struct Round {
  std::uint64_t index = 0;            // of the round; two blocks of a run share none
  double start_s = 0;                 // since the run began
  std::uint64_t passes = 0;           // complete timed ones of this visit
  double pass_s = 0;                  // their mean; paced: of a batch
  std::optional<double> reference_s;  // of a fixed short loop just before: the machine's own speed
  bool operator==(const Round&) const = default;
};

struct ScalingPoint {
  std::uint64_t texts = 0, batches = 0, tokens = 0;
  Estimate seconds;
  double residual_s = 0;  // seconds less the fit
  bool operator==(const ScalingPoint&) const = default;
};

// Time over the number of texts: `breakeven scale`.
struct Scaling {
  std::vector<ScalingPoint> points;
  Estimate intercept_s, slope_s_per_text, log_log_slope;
  double residual_relative_max = 0;
  Linearity outcome = Linearity::cannot_tell;
  bool operator==(const Scaling&) const = default;
};

// One shard of a job on many machines: `breakeven classify --shard`. A record with parity compares
// two devices on it.
struct Shard {
  std::uint64_t index = 0, first_row = 0, rows = 0;
  std::uint64_t rejected = 0;  // rows without a label
  std::string part;            // the name of its file
  std::uint64_t bytes = 0;
  std::string sha256;
  double seconds = 0;    // from opening its texts until the part was written, not yet committed
  double read_s = 0;     // of these, reading texts
  double compute_s = 0;  // ... and in the classifier
  bool adopted = false;  // the part is an earlier attempt's, whose record is lost
  bool operator==(const Shard&) const = default;
};

struct Machine {
  std::string hostname_hash;  // tells two machines apart without naming them
  std::string cpu_model, instruction_set, kernel, os, governor, hypervisor, microcode;
  std::vector<std::string> cpu_flags;  // those that decide speed here (avx2, amx_int8 ...)
  unsigned sockets = 0, cores = 0, threads_per_core = 0, numa_nodes = 0;
  unsigned cpus_usable = 0;
  double cpu_quota = 0;  // CPUs; 0 = none
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;     // the cgroup's; 0 = none
  std::map<std::string, std::string> more;  // huge pages, turbo ...
  bool operator==(const Machine&) const = default;
};

struct Build {
  std::string version, commit, compiler, flags, build_type;
  bool dirty = false;  // the working tree had changes that the commit does not hold
  std::map<std::string, std::string> libraries;
  bool operator==(const Build&) const = default;
};

struct Record {
  int schema_version = kSchemaVersion;
  Kind kind = Kind::cell;
  std::string run_id;      // the same for all records of one run
  std::string started_at;  // UTC, ISO 8601
  std::vector<std::string> command;
  Cell cell;
  std::string model_name, model_hash, instruction_set, tokenizer;
  std::optional<ModelShape>
      model_shape;  // nothing = not known: only another runtime read the model
  std::map<std::string, std::string> runtime_settings;  // version, hints, streams ... of a runtime
  std::vector<Reason> reasons;
  Texts texts;
  std::uint64_t passes = 0;  // complete timed passes
  std::uint64_t warmup_passes = 0;
  double warmup_s = 0;
  // serial: seconds of each batch, in time order; stream: of each pass; paced: of each request,
  // from its scheduled time.
  std::vector<double> samples_s;
  // serial: which batch of the pass each sample is; paced: which text; stream: empty.
  std::vector<std::uint32_t> sample_positions;
  std::vector<Round> rounds;                  // in time order; none before schema 2
  std::vector<std::uint32_t> sample_rounds;   // Round::index of each sample
  std::vector<double> sample_start_s;         // since the run began; paced: when it was due
  std::vector<double> schedule_late_s;        // paced: how late our own scheduler sent each request
  std::map<std::string, Estimate> latency_s;  // "p50", "p90" ...: only those the samples carry
  std::string latency_note;                   // "over a mix of lengths"
  Estimate reviews_per_s, tokens_per_s;       // tokens: real ones
  std::optional<double> spread;               // between identical passes, relative
  std::optional<Stages> stages;               // serial only
  unsigned batches_in_flight = 1;
  std::string bound;  // tokenizer, launch, transfer, compute
  std::optional<Paced> paced;
  std::optional<Http> http;
  std::optional<Parity> parity;
  std::optional<Parity> other_parity;  // native rows, by another runtime's fp32: "ours by theirs"
  std::optional<Accuracy> accuracy;
  std::optional<Memory> memory;
  std::optional<ColdStart> cold_start;
  Energy energy;
  std::optional<Conditions> conditions;
  std::optional<Gpu> gpu;
  std::optional<Scaling> scaling;
  std::optional<Shard> shard;
  Machine machine;
  Build build;
  bool operator==(const Record&) const = default;
};

}  // namespace breakeven::record

namespace breakeven {

template <>
struct Names<record::Severity> {
  static constexpr const char* kWhat = "severity";
  // The last two: of schema 1.
  static constexpr std::pair<record::Severity, std::string_view> kAll[] = {
      {record::Severity::note, "note"},
      {record::Severity::invalid, "invalid"},
      {record::Severity::note, "NOISY"},
      {record::Severity::invalid, "INVALID"}};
};
template <>
struct Names<record::Agreement> {
  static constexpr const char* kWhat = "outcome";
  static constexpr std::pair<record::Agreement, std::string_view> kAll[] = {
      {record::Agreement::passed, "passed"},
      {record::Agreement::failed, "failed"},
      {record::Agreement::unproven, "unproven"}};
};
template <>
struct Names<record::Linearity> {
  static constexpr const char* kWhat = "outcome";
  static constexpr std::pair<record::Linearity, std::string_view> kAll[] = {
      {record::Linearity::linear, "linear"},
      {record::Linearity::not_linear, "not linear"},
      {record::Linearity::cannot_tell, "can't tell"}};
};
template <>
struct Names<record::Kind> {
  static constexpr const char* kWhat = "kind";
  static constexpr std::pair<record::Kind, std::string_view> kAll[] = {
      {record::Kind::cell, "cell"},
      {record::Kind::scaling, "scaling"},
      {record::Kind::shard, "shard"}};
};

}  // namespace breakeven
