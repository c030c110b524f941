// `breakeven cell`: hidden; one cell in a fresh process, asked for by `run` (cli/fresh_cell.h).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/clock.h"
#include "cli/fresh_cell.h"
#include "engine/native.h"
#include "measure/gpu_watch.h"
#include "measure/memory.h"
#include "ops/cuda/device_list.h"

namespace breakeven::cli {
namespace {

// Asks NVML for the memory of the cell's GPU; null for a CPU cell.
std::unique_ptr<measure::DeviceMemoryMeter> memory_meter(const Device& device) {
  for (const ops::Gpu& gpu : device.is_cpu() ? std::vector<ops::Gpu>() : ops::list_gpus().gpus) {
    if (device == Device{{gpu.index}}) {
      return std::make_unique<measure::DeviceMemoryMeter>(gpu.uuid);
    }
  }
  return nullptr;
}

Result<CellAnswer> run_cell(const CellRequest& request) {
  const Clock& clock = monotonic_clock();
  CellAnswer answer;
  BREAKEVEN_TRY(auto model, engine::load_model({request.model}));
  answer.loaded_s = clock.now_s();
  const record::Cell& cell = request.cell;
  const auto device_memory = memory_meter(cell.device);
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> classifier,
                engine::make_native(
                    model, session::native_options(study::spec_of(cell), request.instruction_set)));
  // The engine keeps what it packed: a server would not hold the fp32 weights either.
  model.reset();
  answer.packed_s = clock.now_s();
  const std::uint64_t loading_peak = measure::peak_rss_bytes();
  measure::reset_peak_allocated();
  measure::reset_peak_rss();
  std::vector<Text> texts;
  for (const OwnedText& text : request.texts) texts.push_back(text.view());
  if (cell.mode == Mode::stream) {
    StreamResult result;
    BREAKEVEN_TRY_VOID(classifier->run_stream(texts, cell.batch, result));
    answer.first_label_s = clock.now_s();
  } else {
    BatchResult result;
    for (std::size_t begin = 0; begin < texts.size(); begin += cell.batch) {
      const auto batch =
          std::span(texts).subspan(begin, std::min<std::size_t>(cell.batch, texts.size() - begin));
      BREAKEVEN_TRY_VOID(classifier->run_batch(batch, result));
      if (begin == 0) answer.first_label_s = clock.now_s();
    }
  }
  const ClassifierInfo info = classifier->info();
  answer.memory = measure::memory_of(info);
  if (device_memory && info.device_peak_bytes) {
    const int process = ::getpid();
    device_memory->add_to(answer.memory, *info.device_peak_bytes, std::span(&process, 1));
  }
  answer.memory.loading_peak_rss_bytes = loading_peak;
  return answer;
}

}  // namespace

void add_cell(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("cell", "");
  command->group("");  // not in --help
  command->callback([&context] {
    measure::start_counting_allocations();
    const std::string request{std::istreambuf_iterator<char>(std::cin), {}};
    const auto parsed = parse_cell_request(request);
    if (!parsed) return report_error(context, parsed.error());
    const auto answer = run_cell(*parsed);
    if (!answer) return report_error(context, answer.error());
    std::puts(to_json(*answer).c_str());
  });
}

}  // namespace breakeven::cli
