#include "session/study_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/program_folder.h"
#include "engine/native.h"
#include "engine/placement.h"
#include "measure/environment.h"
#include "measure/parity.h"
#include "measure/speed.h"

namespace breakeven::session {
namespace {

record::Record make_prototype(const ModelFacts& facts, const std::string& instruction_set) {
  record::Record record;
  record.model_name = facts.name;
  record.model_hash = facts.hash;
  record.model_shape = facts.shape;
  record.machine = measure::read_machine();
  record.instruction_set =
      engine::native_instruction_set(instruction_set).value_or(record.machine.instruction_set);
  record.build = measure::read_build();
  return record;
}

record::Gpu described(const ops::Gpu& gpu, int driver_version) {
  record::Gpu told;
  told.name = gpu.name;
  told.uuid = gpu.uuid;
  told.memory_bytes = gpu.memory_bytes;
  told.runtime = fmt::format("{}.{}", driver_version / 1000, driver_version % 1000 / 10);
  return told;
}

}  // namespace

std::string make_run_id() {
  return fmt::format("{}-{}", measure::utc_now(), static_cast<long>(getpid()));
}

record::Record make_prototype(const engine::LoadedModel& model) {
  record::Record record = make_prototype(facts_of(model), "");
  record.tokenizer = "breakeven";
  return record;
}

record::Record make_prototype(const engine::LoadedModel& model, const ClassifierInfo& info) {
  record::Record record = make_prototype(model);
  record.run_id = make_run_id();
  record.cell = static_cast<const Setup&>(info);
  record.cell.mode = Mode::stream;
  record.instruction_set = info.instruction_set;
  record.tokenizer = info.tokenizer;
  record.gpu = gpu_of(info.device);
  return record;
}

std::optional<record::Gpu> gpu_of(const Device& device) {
  if (device.is_cpu()) return std::nullopt;
  const ops::GpuList list = ops::list_gpus();
  for (const ops::Gpu& gpu : list.gpus) {
    if (gpu.index == device.gpus.front()) return described(gpu, list.driver_version);
  }
  return record::Gpu{};
}

Result<data::ReviewSet> read_texts(const data::SourceOptions& options, std::size_t count) {
  BREAKEVEN_TRY(data::ReviewSet reviews, data::read_reviews(options, count));
  if (reviews.reviews.empty()) {
    return fail("texts/empty", fmt::format("'{}' holds no text", options.texts),
                "give a file with at least one review, or leave out --texts for the built-in ones");
  }
  return reviews;
}

void set_texts(study::Input& input, const data::ReviewSet& reviews, std::size_t timed) {
  input.texts.clear();
  input.labels.clear();
  input.originals.clear();
  bool any_label = false;
  for (const data::Review& review : reviews.reviews) {
    input.texts.push_back(review.view());
    input.labels.push_back(review.label.value_or(-1));
    input.originals.push_back(review.originals);
    any_label |= review.label.has_value();
  }
  if (!any_label) input.labels.clear();
  input.timed = std::min(timed, input.texts.size());
  record::Texts& texts = input.prototype.texts;
  texts.name = reviews.name;
  texts.note = reviews.note;
  texts.hash = measure::hash_texts(std::span(input.texts).first(input.timed));
}

study::Input make_input(const Session& session, const data::ReviewSet& reviews, std::size_t timed) {
  study::Input input;
  input.problem = session.facts().problem;
  input.work = session.facts().work;
  input.judge = session.judge();
  input.other_judge = session.other_judge();
  input.prototype = make_prototype(session.facts(), session.options().instruction_set);
  input.prototype.run_id = make_run_id();
  set_texts(input, reviews, timed);
  if (auto cache = cache_folder()) input.cache = *cache + "/judge";
  if (auto shipped = find_program_folder(
          {"judge", "BREAKEVEN_JUDGE", BREAKEVEN_JUDGE_DIR, "README.md", "judge/none"})) {
    input.shipped = *std::move(shipped);
  }
  return input;
}

study::Tools make_tools(const Session& session, const ops::GpuList& gpus) {
  study::Tools tools;
  tools.make = [&session](const study::Spec& spec) { return session.make(spec); };
  tools.stop = session.options().stop;
  tools.reference = [] { return measure::time_reference_loop(engine::default_threads()); };
  for (const ops::Gpu& gpu : gpus.gpus) {
    tools.gpus[gpu.index] = described(gpu, gpus.driver_version);
  }
  return tools;
}

}  // namespace breakeven::session
