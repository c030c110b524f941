#include "runtimes/worker.h"

#include <fmt/format.h>

#include <csignal>
#include <utility>

#include "base/clock.h"

namespace breakeven::runtimes {
namespace {

// A message of texts: large enough to cost nothing, small enough for any JSON reader.
constexpr std::size_t kTextsBytes = 8U << 20;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::start(const WorkerOptions& options) {
  std::unique_ptr<Worker> worker(new Worker(options));
  worker->started_s_ = monotonic_clock().now_s();
  auto process = Process::start({options.interpreter, {"-u", options.script}, true});
  if (!process) {
    return fail("runtime/start",
                fmt::format("runtime {}: {}", options.runtime, process.error().message),
                "name a Python that has the runtime's packages");
  }
  worker->process_ = *std::move(process);
  const Question hello{"hello", options.limits.hello_s};
  BREAKEVEN_TRY(const Reply reply, worker->ask(hello, hello_request(++worker->id_)));
  BREAKEVEN_TRY(worker->capabilities_, worker->settle(hello, read_hello(reply)));
  if (const std::string& name = worker->capabilities_.runtime; name != options.runtime) {
    BREAKEVEN_TRY_VOID(worker->settle<void>(
        hello, fail("runtime/garbage", fmt::format("it says that it is '{}'", name))));
  }
  return worker;
}

Result<void> Worker::load(const WorkerSpec& spec) {
  spec_ = spec;
  const Question question{"load", options_.limits.load_s};
  BREAKEVEN_TRY(const Reply reply, ask(question, load_request(++id_, spec, options_.pytorch)));
  BREAKEVEN_TRY(loaded_, settle(question, read_load(reply)));
  return {};
}

Worker::TextKey Worker::key_of(const Text& text) {
  const std::hash<std::string_view> hash;
  const std::size_t second = text.second ? hash(*text.second) + 1 : 0;
  return {hash(text.first) + 31 * second, text.bytes()};
}

Result<std::vector<std::uint32_t>> Worker::indices_of(std::span<const Text> texts) {
  std::vector<std::uint32_t> indices;
  indices.reserve(texts.size());
  std::vector<Text> unknown;
  const std::size_t known = index_of_.size();
  for (const Text& text : texts) {
    const TextKey key = key_of(text);
    const auto next = static_cast<std::uint32_t>(known + unknown.size());
    const auto [place, is_new] = index_of_.try_emplace(key, next);
    if (is_new) unknown.push_back(text);
    indices.push_back(place->second);
  }
  BREAKEVEN_TRY_VOID(send_texts(unknown));
  return indices;
}

Result<void> Worker::send_texts(std::span<const Text> texts) {
  const Question question{"texts", options_.limits.run_s};
  std::size_t sent = index_of_.size() - texts.size();
  while (!texts.empty()) {
    std::size_t count = 0;
    for (std::size_t bytes = 0; count < texts.size() && bytes < kTextsBytes; ++count) {
      bytes += texts[count].bytes();
    }
    auto reply = ask(question, texts_request(++id_, texts.first(count), right_ids_ != nullptr));
    // Without its texts it is of no use, also when it only refused them.
    if (!reply) return tl::unexpected<Error>(fail_for_good(std::move(reply).error()));
    BREAKEVEN_TRY(const Received received, settle(question, read_texts(*reply, count)));
    for (std::size_t i = 0; i < received.ids.size() && right_ids_; ++i) {
      const auto right = right_ids_(texts[i], spec_.max_length);
      if (!right) break;
      ++compared_ids_;
      if (*right != received.ids[i]) ++other_ids_;
    }
    texts = texts.subspan(count);
    sent += count;
    if (received.count == sent) continue;
    BREAKEVEN_TRY_VOID(settle<void>(
        question,
        fail("runtime/garbage", fmt::format("it counts {} texts of {}", received.count, sent))));
  }
  return {};
}

Result<Classified> Worker::run(std::span<const std::uint32_t> indices) {
  return classify({"run", options_.limits.run_s}, run_request(++id_, indices), indices.size(),
                  false);
}

Result<Classified> Worker::stream(std::span<const std::uint32_t> indices, std::size_t batch) {
  return classify({"stream", options_.limits.run_s}, stream_request(++id_, indices, batch),
                  indices.size(), true);
}

Result<Classified> Worker::classify(const Question& question, const std::string& request,
                                    std::size_t texts, bool stream) {
  BREAKEVEN_TRY(const Reply reply, ask(question, request));
  return settle(question, read_classified(reply, {texts, loaded_.labels.size(), loaded_.problem,
                                                  spec_.max_length, stream, sent_s_, received_s_}));
}

Result<MemoryUse> Worker::memory() {
  const Question question{"memory", options_.limits.run_s};
  BREAKEVEN_TRY(const Reply reply, ask(question, memory_request(++id_)));
  return settle(question, read_memory(reply));
}

bool Worker::running() {
  return !failure_ && process_->running();
}

void Worker::end() {
  if (running()) {
    const Question question{"shutdown", options_.limits.shutdown_s};
    const double deadline_s = monotonic_clock().now_s() + question.limit_s;
    if (ask(question, shutdown_request(++id_))) {
      process_->wait_for_end({deadline_s, options_.stop});
    }
  }
  process_->kill();
  if (!failure_) failure_ = Error{"runtime/died", "the worker was ended", ""};
}

Result<Reply> Worker::ask(const Question& question, const std::string& request) {
  if (failure_) return tl::unexpected<Error>(*failure_);
  std::string_view rest = request;
  sent_s_ = monotonic_clock().now_s();
  const AnswerDeadline deadline(sent_s_, question.limit_s);
  while (true) {
    std::string line;
    const AskLimits limits{deadline.after(monotonic_clock().now_s()), options_.stop};
    const AskEnd end = process_->ask(rest, Until::line, limits, line);
    received_s_ = monotonic_clock().now_s();
    rest = {};
    if (end != AskEnd::answered) {
      return tl::unexpected<Error>(fail_for_good(failure_of(end, question)));
    }
    BREAKEVEN_TRY(Reply reply, settle(question, Reply::parse(line, id_)));
    if (!reply.progress()) return reply;
    if (options_.progress) options_.progress(reply.progress()->what, reply.progress()->done);
  }
}

template <class T>
Result<T> Worker::settle(const Question& question, Result<T> value) {
  if (value) return value;
  Error error = std::move(value).error();
  error.message = in_words(question, error.message);
  if (is_refusal(error)) return tl::unexpected<Error>(error);
  error.message = process_->with_last_error(error.message);
  return tl::unexpected<Error>(fail_for_good(std::move(error)));
}

std::string Worker::in_words(const Question& question, const std::string& what) const {
  return fmt::format("runtime {}: {}: {}", options_.runtime, question.name, what);
}

Error Worker::failure_of(AskEnd end, const Question& question) const {
  const auto error = [&](const char* code, const std::string& what, const char* hint = "") {
    return Error{code, process_->with_last_error(in_words(question, what)), hint};
  };
  switch (end) {
    case AskEnd::time_limit:
      return error("runtime/time-limit",
                   fmt::format("no answer within {:.2g} s", received_s_ - sent_s_),
                   "fewer or shorter texts, or a smaller batch, take less time");
    case AskEnd::interrupted:
      return {"runtime/interrupted", in_words(question, "interrupted"), ""};
    case AskEnd::too_long:
      return error("runtime/garbage", "it printed a line of over 256 MB");
    case AskEnd::closed:
      return error("runtime/died", "it closed its stdout");
    case AskEnd::answered:  // no failure
    case AskEnd::exited:
      break;
  }
  return error("runtime/died", "it " + process_->ending(),
               process_->ending_signal() == SIGKILL
                   ? "the system may have run out of memory; try a smaller batch"
                   : "");
}

Error Worker::fail_for_good(Error error) {
  process_->kill();
  failure_ = error;
  return error;
}

}  // namespace breakeven::runtimes
