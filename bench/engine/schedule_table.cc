// Prints how many times as fast as one thread the engine's schedule is by its own cost model, for
// threads x mode x batch, over the token counts of a run's first record. usage:
// schedule_table RUN.jsonl
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "testing/schedule_model.h"

int main(int argc, char** argv) {
  using namespace breakeven::engine;
  std::string line;
  if (argc != 2 || !std::getline(std::ifstream(argv[1]), line)) {
    fmt::print(stderr, "usage: schedule_table RUN.jsonl\n");
    return 2;
  }
  const auto texts = nlohmann::json::parse(line).at("texts");
  const auto lengths = texts.at("token_counts").get<std::vector<std::uint32_t>>();
  const CostModel costs;
  const std::vector<unsigned> one(1, 0);
  const double alone = model_stream({lengths, 32}, one, costs).end;
  fmt::print("{} texts; times as fast as one thread (share of the threads' time that is work)\n",
             lengths.size());
  const std::vector<std::size_t> batches = {1, 8, 32, 128, 512};
  fmt::print("| threads | mode |");
  for (const std::size_t batch : batches) fmt::print(" batch {} |", batch);
  fmt::print("\n|---|---|---|---|---|---|---|\n");
  for (const unsigned count : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U}) {
    const std::vector<unsigned> threads(count, 0);
    for (const bool stream : {false, true}) {
      fmt::print("| {} | {} |", count, stream ? "stream" : "serial");
      for (const std::size_t batch : batches) {
        const Work work{lengths, batch};
        const ModelledPass pass =
            stream ? model_stream(work, threads, costs) : model_serial(work, threads, costs);
        fmt::print(" {:.3g} ({:.0f} %) |", alone / pass.end, 100 * alone / pass.end / count);
      }
      fmt::print("\n");
    }
  }
  return 0;
}
