// The texts of a study, and what a study is given of a session and of them.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "data/source.h"
#include "ops/cuda/device_list.h"
#include "session/session.h"
#include "study/sweep.h"

namespace breakeven::session {

// Of a run that begins now.
std::string make_run_id();

// What a record says of a model on the native engine here, before anything is measured.
record::Record make_prototype(const engine::LoadedModel& model);
// The same of a classifier of it that labels a stream of texts.
record::Record make_prototype(const engine::LoadedModel& model, const ClassifierInfo& info);
// The first GPU of a device, as the driver tells it; nothing on a CPU.
std::optional<record::Gpu> gpu_of(const Device& device);

// The first `count` texts. Errors: those of data::read_reviews; texts/empty.
Result<data::ReviewSet> read_texts(const data::SourceOptions& options, std::size_t count);

// Without cells, time and seed; all texts are judged, the first `timed` make a pass. The input's
// texts are views into `reviews`.
study::Input make_input(const Session& session, const data::ReviewSet& reviews, std::size_t timed);

// Puts the texts of `reviews`, and what is known of them, in place of those that the input has; all
// else stays.
void set_texts(study::Input& input, const data::ReviewSet& reviews, std::size_t timed);

// Makes classifiers by the session, which must outlive it; knows its GPUs as `gpus` tells them.
// Without what a caller alone can say: where records go, progress, fresh processes.
study::Tools make_tools(const Session& session, const ops::GpuList& gpus);

}  // namespace breakeven::session
