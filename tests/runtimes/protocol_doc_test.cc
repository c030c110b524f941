// The conversation in docs/runtimes.md is what the program says and understands.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtimes/protocol.h"
#include "testing/paths.h"

namespace breakeven::runtimes {
namespace {

using nlohmann::json;

struct Exchange {
  std::string request;
  std::vector<std::string> replies;
};

// Lines "> {...}" are ours, "< {...}" the worker's.
std::vector<Exchange> conversation() {
  std::ifstream document(testing::source_dir() / "docs/runtimes.md");
  std::vector<Exchange> exchanges;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("> {")) exchanges.push_back({line.substr(2), {}});
    if (line.starts_with("< {") && !exchanges.empty()) {
      exchanges.back().replies.push_back(line.substr(2));
    }
  }
  return exchanges;
}

std::string request_like(const json& asked) {
  const auto id = asked["id"].get<std::uint64_t>();
  const auto operation = asked["op"].get<std::string>();
  if (operation == "hello") return hello_request(id);
  if (operation == "memory") return memory_request(id);
  if (operation == "shutdown") return shutdown_request(id);
  if (operation == "load") {
    WorkerSpec spec;
    spec.model_folder = asked["model"];
    spec.device = parse_device(asked["device"].get<std::string>()).value();
    spec.precision = parse<Precision>(asked["precision"].get<std::string>()).value();
    spec.runtime.variant = asked["variant"];
    spec.threads = asked["threads"];
    spec.max_length = asked["max_length"];
    spec.padding = parse<Padding>(asked["padding"].get<std::string>()).value();
    spec.batch = asked["max_batch"];
    return load_request(id, spec, asked.value("pytorch", ""));
  }
  if (operation == "texts") {
    const std::vector<std::string> texts = asked["texts"];
    return texts_request(id, std::vector<Text>(texts.begin(), texts.end()),
                         asked.contains("hash_ids"));
  }
  const std::vector<std::uint32_t> indices = asked["indices"];
  return operation == "run" ? run_request(id, indices)
                            : stream_request(id, indices, asked["batch"]);
}

template <class T>
std::string problem_of(const Result<T>& result) {
  return result ? "" : result.error().code + ": " + result.error().message;
}

std::string problem_of(const json& asked, const Reply& reply) {
  const std::string operation = asked["op"];
  if (operation == "hello") return problem_of(read_hello(reply));
  if (operation == "load") return problem_of(read_load(reply));
  if (operation == "texts") return problem_of(read_texts(reply, asked["texts"].size()));
  if (operation == "memory") return problem_of(read_memory(reply));
  if (operation == "shutdown") return "";
  return problem_of(read_classified(reply, {asked["indices"].size(), 2, ProblemType::single_label,
                                            512, operation == "stream", 0, 1e9}));
}

TEST(ProtocolDocument, ShowsWhatIsSaid) {
  const auto exchanges = conversation();
  std::map<std::string, int> shown;
  int refusals = 0;
  int progress = 0;
  for (const Exchange& exchange : exchanges) {
    const json asked = json::parse(exchange.request);
    ++shown[asked["op"]];
    EXPECT_EQ(json::parse(request_like(asked)), asked);
    ASSERT_FALSE(exchange.replies.empty()) << exchange.request;
    for (const std::string& line : exchange.replies) {
      const auto reply = Reply::parse(line, asked["id"]);
      if (!reply) {
        EXPECT_TRUE(is_refusal(reply.error())) << reply.error().message;
        ++refusals;
      } else if (reply->progress()) {
        ++progress;
      } else {
        EXPECT_EQ(problem_of(asked, *reply), "") << line;
      }
    }
  }
  for (const char* operation : {"hello", "load", "texts", "run", "stream", "memory", "shutdown"}) {
    EXPECT_GE(shown[operation], 1) << operation;
  }
  EXPECT_GE(refusals, 1);
  EXPECT_GE(progress, 1);
}

}  // namespace
}  // namespace breakeven::runtimes
