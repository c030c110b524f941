// The one list of every struct's fields, in the order in which they are written. A visitor gets
// each as (name, member); record/json.cc has one for writing, one for reading, one for the paths.
#pragma once

#include <concepts>
#include <type_traits>

#include "record/record.h"

namespace breakeven::record {

// S is the struct U or a const U.
template <class S, class U>
concept Is = std::same_as<std::remove_const_t<S>, U>;

template <class V, Is<Cell> S>
void fields(V& v, S& s) {
  v("runtime", s.runtime.name);
  v("variant", s.runtime.variant);
  v("device", s.device);
  v("precision", s.precision);
  v("batch", s.batch);
  v("threads", s.threads);
  v("max_length", s.max_length);
  v("padding", s.padding);
  v("mode", s.mode);
  v("rate_per_s", s.rate_per_s);
  v("arrivals", s.arrivals);
  v("max_wait_s", s.max_wait_s);
}

template <class V, Is<Interval> S>
void fields(V& v, S& s) {
  v("low", s.low);
  v("high", s.high);
  v("confidence", s.confidence);
}

template <class V, Is<Estimate> S>
void fields(V& v, S& s) {
  v("value", s.value);
  v("interval", s.interval);
  v("samples", s.samples);
}

template <class V, Is<Reason> S>
void fields(V& v, S& s) {
  v("code", s.code);
  v("message", s.message);
  v("value", s.value);
  v("threshold", s.threshold);
  v("severity", s.severity);
}

template <class V, Is<Stages> S>
void fields(V& v, S& s) {
  v("tokenize_s", s.tokenize_s);
  v("pack_s", s.pack_s);
  v("upload_s", s.upload_s);
  v("compute_s", s.compute_s);
  v("download_s", s.download_s);
  v("decode_s", s.decode_s);
}

template <class V, Is<Parity> S>
void fields(V& v, S& s) {
  v("judge", s.judge);
  v("texts", s.texts);
  v("flips", s.flips);
  v("logit_abs_max", s.logit_abs_max);
  v("logit_abs_p99", s.logit_abs_p99);
  v("logit_sigma", s.logit_sigma);
  v("repeat_abs_max", s.repeat_abs_max);
  v("accuracy_loss", s.accuracy_loss);
  v("outcome", s.outcome);
  v("limits_broken", s.limits_broken);
}

template <class V, Is<Accuracy> S>
void fields(V& v, S& s) {
  v("texts", s.texts);
  v("distinct", s.distinct);
  v("share", s.share);
  v("interval", s.interval);
}

template <class V, Is<Memory> S>
void fields(V& v, S& s) {
  v("weight_bytes", s.weight_bytes);
  v("activation_bytes", s.activation_bytes);
  v("library_bytes", s.library_bytes);
  v("peak_allocated_bytes", s.peak_allocated_bytes);
  v("peak_rss_bytes", s.peak_rss_bytes);
  v("loading_peak_rss_bytes", s.loading_peak_rss_bytes);
  v("device_peak_allocated_bytes", s.device_peak_allocated_bytes);
  v("device_used_bytes", s.device_used_bytes);
  v("device_library_bytes", s.device_library_bytes);
  v("device_total_bytes", s.device_total_bytes);
  v("method", s.method);
}

template <class V, Is<Energy> S>
void fields(V& v, S& s) {
  v("host_joules_gross", s.host_joules_gross);
  v("host_joules_net", s.host_joules_net);
  v("gpu_joules_gross", s.gpu_joules_gross);
  v("gpu_joules_net", s.gpu_joules_net);
  v("window_s", s.window_s);
  v("texts", s.texts);
  v("method", s.method);
}

template <class V, Is<ColdStart> S>
void fields(V& v, S& s) {
  v("total_s", s.total_s);
  v("load_s", s.load_s);
  v("pack_s", s.pack_s);
  v("first_pass_s", s.first_pass_s);
}

template <class V, Is<ModelShape> S>
void fields(V& v, S& s) {
  v("layers", s.layers);
  v("hidden", s.hidden);
  v("heads", s.heads);
  v("intermediate", s.intermediate);
}

template <class V, Is<Texts> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("hash", s.hash);
  v("note", s.note);
  v("count", s.count);
  v("distinct", s.distinct);
  v("truncated", s.truncated);
  v("real_tokens", s.real_tokens);
  v("computed_tokens", s.computed_tokens);
  v("mean_tokens", s.mean_tokens);
  v("token_counts", s.token_counts);
}

template <class V, Is<Conditions> S>
void fields(V& v, S& s) {
  v("wall_s", s.wall_s);
  v("own_cpu_s", s.own_cpu_s);
  v("steal_share", s.steal_share);
  v("foreign_cpu_share", s.foreign_cpu_share);
  v("load_average_1m", s.load_average_1m);
  v("involuntary_switches", s.involuntary_switches);
  v("voluntary_switches", s.voluntary_switches);
  v("major_faults", s.major_faults);
  v("cpu_mhz_median", s.cpu_mhz_median);
  v("cpu_mhz_min", s.cpu_mhz_min);
  v("temperature_c_max", s.temperature_c_max);
  v("throttle_events", s.throttle_events);
}

template <class V, Is<Gpu> S>
void fields(V& v, S& s) {
  v("name", s.name);
  v("uuid", s.uuid);
  v("driver", s.driver);
  v("runtime", s.runtime);
  v("memory_bytes", s.memory_bytes);
  v("event_stages", s.event_stages);
  v("busy_share", s.busy_share);
  v("utilisation_share", s.utilisation_share);
  v("sm_mhz_median", s.sm_mhz_median);
  v("sm_mhz_min", s.sm_mhz_min);
  v("sm_mhz_limit", s.sm_mhz_limit);
  v("memory_mhz_median", s.memory_mhz_median);
  v("temperature_c_max", s.temperature_c_max);
  v("power_w_mean", s.power_w_mean);
  v("power_limit_w", s.power_limit_w);
  v("throttle_reasons", s.throttle_reasons);
  v("looks", s.looks);
  v("throttled_looks", s.throttled_looks);
  v("foreign_processes", s.foreign_processes);
  v("counters", s.counters);
}

template <class V, Is<Http> S>
void fields(V& v, S& s) {
  v("url", s.url);
  v("interface", s.interface);
  v("server", s.server);
  v("keep_alive", s.keep_alive);
  v("local", s.local);
  v("connections", s.connections);
  v("timeout_s", s.timeout_s);
  v("refused", s.refused);
  v("timed_out", s.timed_out);
  v("errors", s.errors);
  v("malformed", s.malformed);
  v("broken", s.broken);
  v("unsent", s.unsent);
  v("sent_s_p99", s.sent_s_p99);
  v("goodput_per_s", s.goodput_per_s);
  v("null_s_p50", s.null_s_p50);
  v("null_s_p99", s.null_s_p99);
  v("null_per_s", s.null_per_s);
  v("client_cpu_s", s.client_cpu_s);
}

template <class V, Is<Paced> S>
void fields(V& v, S& s) {
  v("requests", s.requests);
  v("answered", s.answered);
  v("window_s", s.window_s);
  v("saturated", s.saturated);
  v("busy_share", s.busy_share);
  v("mean_batch", s.mean_batch);
  v("wait_s_p50", s.wait_s_p50);
  v("batch_s_p50", s.batch_s_p50);
  v("late_s_max", s.late_s_max);
  v("tail_episodes", s.tail_episodes);
  v("seed", s.seed);
  v("p99_limit_s", s.p99_limit_s);
}

template <class V, Is<Round> S>
void fields(V& v, S& s) {
  v("index", s.index);
  v("start_s", s.start_s);
  v("passes", s.passes);
  v("pass_s", s.pass_s);
  v("reference_s", s.reference_s);
}

template <class V, Is<ScalingPoint> S>
void fields(V& v, S& s) {
  v("texts", s.texts);
  v("batches", s.batches);
  v("tokens", s.tokens);
  v("seconds", s.seconds);
  v("residual_s", s.residual_s);
}

template <class V, Is<Scaling> S>
void fields(V& v, S& s) {
  v("points", s.points);
  v("intercept_s", s.intercept_s);
  v("slope_s_per_text", s.slope_s_per_text);
  v("log_log_slope", s.log_log_slope);
  v("residual_relative_max", s.residual_relative_max);
  v("outcome", s.outcome);
}

template <class V, Is<Shard> S>
void fields(V& v, S& s) {
  v("index", s.index);
  v("first_row", s.first_row);
  v("rows", s.rows);
  v("rejected", s.rejected);
  v("part", s.part);
  v("bytes", s.bytes);
  v("sha256", s.sha256);
  v("seconds", s.seconds);
  v("read_s", s.read_s);
  v("compute_s", s.compute_s);
  v("adopted", s.adopted);
}

template <class V, Is<Machine> S>
void fields(V& v, S& s) {
  v("hostname_hash", s.hostname_hash);
  v("cpu_model", s.cpu_model);
  v("instruction_set", s.instruction_set);
  v("kernel", s.kernel);
  v("os", s.os);
  v("governor", s.governor);
  v("hypervisor", s.hypervisor);
  v("microcode", s.microcode);
  v("cpu_flags", s.cpu_flags);
  v("sockets", s.sockets);
  v("cores", s.cores);
  v("threads_per_core", s.threads_per_core);
  v("numa_nodes", s.numa_nodes);
  v("cpus_usable", s.cpus_usable);
  v("cpu_quota", s.cpu_quota);
  v("memory_bytes", s.memory_bytes);
  v("memory_limit_bytes", s.memory_limit_bytes);
  v("more", s.more);
}

template <class V, Is<Build> S>
void fields(V& v, S& s) {
  v("version", s.version);
  v("commit", s.commit);
  v("compiler", s.compiler);
  v("flags", s.flags);
  v("build_type", s.build_type);
  v("dirty", s.dirty);
  v("libraries", s.libraries);
}

template <class V, Is<Record> S>
void fields(V& v, S& s) {
  v("schema_version", s.schema_version);
  v("kind", s.kind);
  v("run_id", s.run_id);
  v("started_at", s.started_at);
  v("command", s.command);
  v("cell", s.cell);
  v("model_name", s.model_name);
  v("model_hash", s.model_hash);
  v("model_shape", s.model_shape);
  v("instruction_set", s.instruction_set);
  v("tokenizer", s.tokenizer);
  v("runtime_settings", s.runtime_settings);
  v("reasons", s.reasons);
  v("texts", s.texts);
  v("passes", s.passes);
  v("warmup_passes", s.warmup_passes);
  v("warmup_s", s.warmup_s);
  v("samples_s", s.samples_s);
  v("sample_positions", s.sample_positions);
  v("rounds", s.rounds);
  v("sample_rounds", s.sample_rounds);
  v("sample_start_s", s.sample_start_s);
  v("schedule_late_s", s.schedule_late_s);
  v("latency_s", s.latency_s);
  v("latency_note", s.latency_note);
  v("reviews_per_s", s.reviews_per_s);
  v("tokens_per_s", s.tokens_per_s);
  v("spread", s.spread);
  v("stages", s.stages);
  v("batches_in_flight", s.batches_in_flight);
  v("bound", s.bound);
  v("paced", s.paced);
  v("http", s.http);
  v("parity", s.parity);
  v("other_parity", s.other_parity);
  v("accuracy", s.accuracy);
  v("memory", s.memory);
  v("cold_start", s.cold_start);
  v("energy", s.energy);
  v("conditions", s.conditions);
  v("gpu", s.gpu);
  v("scaling", s.scaling);
  v("shard", s.shard);
  v("machine", s.machine);
  v("build", s.build);
}

}  // namespace breakeven::record
