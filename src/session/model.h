// The model of a session: loaded by the native engine, or only a folder that other runtimes read.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "classifier/classifier.h"
#include "engine/load.h"
#include "record/record.h"
#include "study/work.h"

namespace breakeven::session {

// What a study must know of a model, whoever runs it.
struct ModelFacts {
  std::string name, hash, folder;
  std::vector<std::string> labels;
  ProblemType problem = ProblemType::single_label;
  std::optional<record::ModelShape> shape{};  // nothing: the native engine did not load it
  std::size_t length_limit = 512;             // tokens that a text may have
  study::Work work;
};

ModelFacts facts_of(const engine::LoadedModel& loaded);

struct Model {
  std::shared_ptr<const engine::LoadedModel> loaded;  // null: the native engine refuses it
  ModelFacts facts;     // of a model that is not loaded: without labels and problem
  std::string refusal;  // why it is not loaded; "" when it is
};

// Which runtimes are to run the model: what the native engine refuses may still serve the others.
struct Wanted {
  bool native = true, others = false;
};
// `name`: as engine::ModelChoice has it. Errors: those of engine::load_model.
Result<Model> load_model(const std::string& name, const Wanted& wanted);

}  // namespace breakeven::session
