// How texts are asked and labels are told, in the interfaces that servers have: our own, and those
// of Text Embeddings Inference, vLLM and the Open Inference Protocol. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/text.h"
#include "setup/names.h"

namespace breakeven::load {

enum class Interface : std::uint8_t { breakeven, tei, vllm, oip };

// What every request of a run has in common.
struct Ask {
  Interface interface = Interface::breakeven;
  std::string path, host;  // "/v1/classify", "127.0.0.1:8000"
  std::string fields{};    // further ones, each with its line end
  bool keep_alive = true;
  // Of the Open Inference Protocol: the tensor that takes texts, and how many dimensions it has (a
  // model that a server makes batches for has one more).
  std::string tensor = "text";
  std::size_t dimensions = 1;
};

// By the end of a path ("/predict" -> tei); nothing where it is none of these.
std::optional<Interface> interface_of(std::string_view path);
// The path that servers of this interface have; "" of oip, whose path names a model.
std::string_view usual_path(Interface interface);

// What a model of the Open Inference Protocol says of its inputs (GET /v2/models/NAME) -> tensor
// and dimensions; false where it says nothing of texts.
bool read_inputs(std::string_view body, Ask& ask);

// A whole request as bytes. Errors: load/pair (vLLM's interface has none).
Result<std::string> request_for(const Ask& ask, const Text& text);
// A request that asks for no label: GET, or POST with an empty object.
std::string plain_request(const Ask& ask, std::string_view method, std::string_view path);

struct Labelled {
  std::string label;
  std::optional<std::uint32_t> tokens{};     // that were computed, where the reply says so
  std::optional<std::uint64_t> truncated{};  // that were cut off
};
// Errors: load/reply, with what the body is instead.
Result<Labelled> read_label(Interface interface, std::string_view body);

}  // namespace breakeven::load

namespace breakeven {

template <>
struct Names<load::Interface> {
  static constexpr const char* kWhat = "interface";
  static constexpr std::pair<load::Interface, std::string_view> kAll[] = {
      {load::Interface::breakeven, "breakeven"},
      {load::Interface::tei, "tei"},
      {load::Interface::vllm, "vllm"},
      {load::Interface::oip, "oip"}};
};

}  // namespace breakeven
