// The module _core: Python's objects to C++ and back. What users see is python/breakeven/*.py.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "bindings/arrow.h"
#include "bindings/label_rows.h"
#include "bindings/pipeline.h"
#include "record/json.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace breakeven::python {
namespace {

// How long Ctrl-C may wait until somebody looks, and the engine then ends within an op of a layer.
constexpr std::chrono::milliseconds kLook{20};
// Objects of Python's that are made or read in less time than that.
constexpr std::size_t kObjectsALook = 32768;

[[noreturn]] void throw_error(const Error& error) {
  const nb::object make = nb::module_::import_("breakeven._errors").attr("make");
  const nb::object made = make(error.code, error.message, error.hint);
  PyErr_SetObject(made.type().ptr(), made.ptr());
  throw nb::python_error();
}

template <class T>
T value_or_throw(Result<T>&& result) {
  if (!result) throw_error(result.error());
  return *std::move(result);
}

// Runs `work` on a thread of its own and without the interpreter's lock, and lets signals' handlers
// run meanwhile: what one raises ends the work by `give_up` and is thrown here.
template <class Work, class GiveUp>
auto run_interruptibly(const Work& work, const GiveUp& give_up) {
  std::mutex mutex;
  std::condition_variable finished;
  std::optional<decltype(work())> result;
  std::optional<nb::python_error> raised;
  {
    const nb::gil_scoped_release unlocked;
    std::thread worker([&] {
      auto value = work();
      const std::lock_guard lock(mutex);
      result.emplace(std::move(value));
      finished.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!finished.wait_for(lock, kLook, [&] { return result.has_value(); })) {
      lock.unlock();
      if (!raised) {
        const nb::gil_scoped_acquire locked;
        if (PyErr_CheckSignals() != 0) raised.emplace();
      }
      if (raised) give_up();
      lock.lock();
    }
    lock.unlock();
    worker.join();
  }
  if (raised) throw std::move(*raised);
  return *std::move(result);
}

// Of a loop that holds the interpreter's lock, once for each of its objects.
void look_for_signals(std::size_t object) {
  if (object % kObjectsALook == 0 && PyErr_CheckSignals() != 0) throw nb::python_error();
}

std::string shorten(const nb::object& value) {
  std::string text = nb::cast<std::string>(nb::repr(value));
  constexpr std::size_t kMost = 60;
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

// What an error calls a text, made only where there is one.
struct TextName {
  const char* what;
  std::size_t index;
  std::string to_string() const { return what + std::to_string(index); }
};

[[noreturn]] void refuse_text(const nb::handle& text, const TextName& name) {
  if (!PyUnicode_Check(text.ptr())) {
    const std::string type = nb::cast<std::string>(nb::object(text.type().attr("__name__")));
    const std::string value = text.is_none() ? "None" : type + " " + shorten(nb::borrow(text));
    const std::string hint =
        PyBytes_Check(text.ptr()) ? "; decode it first, as in text.decode()" : "";
    throw nb::type_error((name.to_string() + " is " + value + ", not a str" + hint).c_str());
  }
  PyErr_Clear();
  const nb::object shown = nb::module_::import_("builtins").attr("ascii")(text);
  throw nb::value_error((name.to_string() + " holds half of a surrogate pair, which is no text: " +
                         nb::cast<std::string>(shown).substr(0, 60) +
                         "; repair it, as in text.encode('utf-8', 'replace').decode()")
                            .c_str());
}

// A view into Python's string, which its owner keeps alive.
std::string_view view_of(const nb::handle& text, const TextName& name) {
  Py_ssize_t size = 0;
  const char* bytes =
      PyUnicode_Check(text.ptr()) ? PyUnicode_AsUTF8AndSize(text.ptr(), &size) : nullptr;
  if (bytes == nullptr) refuse_text(text, name);
  return {bytes, static_cast<std::size_t>(size)};
}

ScoreFunction function_of(const std::string& name, ScoreFunction own) {
  if (name == "sigmoid") return ScoreFunction::sigmoid;
  if (name == "softmax") return ScoreFunction::softmax;
  if (name == "none") return ScoreFunction::none;
  return own;
}

nb::dict answer(const nb::object& label, float score) {
  nb::dict one;
  one["label"] = label;
  one["score"] = static_cast<double>(score);
  return one;
}

// What Python holds: it may be closed, and be used in a child process.
class Handle {
 public:
  explicit Handle(PipelineOptions options)
      : options_(std::move(options)), owner_(getpid()), pipeline_(open()) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }

  void close() {
    leave_parents();
    pipeline_.reset();
  }
  bool closed() const { return pipeline_ == nullptr; }

  // The calls that follow hold on to it, so that close() waits for nobody.
  std::shared_ptr<Pipeline> pipeline() {
    if (closed()) throw nb::value_error("this pipeline is closed");
    if (getpid() != owner_) {
      if (!pipeline_->info().device.is_cpu()) {
        throw_error(
            {"pipeline/forked", "this pipeline is on a GPU, and CUDA does not survive a fork",
             "make the pipeline in the child, or start children by multiprocessing's spawn"});
      }
      leave_parents();
      pipeline_ = open();
    }
    return pipeline_;
  }

 private:
  std::shared_ptr<Pipeline> open() const {
    return value_or_throw(run_interruptibly([this] { return Pipeline::open(options_); }, [] {}));
  }
  // After a fork the engine's threads are in the parent only: nobody can wait for them here, so
  // what belongs to them is left alone.
  void leave_parents() {
    if (getpid() == owner_) return;
    if (pipeline_)
      new std::shared_ptr<Pipeline>(std::move(pipeline_));  // NOLINT: leaked on purpose
    pipeline_.reset();
    owner_ = getpid();
  }

  PipelineOptions options_;
  pid_t owner_;
  std::shared_ptr<Pipeline> pipeline_;
};

Answers run(Pipeline& pipeline, const std::vector<Text>& texts) {
  Call call;
  Answers answers;
  auto done = run_interruptibly([&] { return pipeline.run(texts, answers, call); },
                                [&] { pipeline.interrupt(call); });
  if (!done) throw_error(done.error());
  pipeline.count(call);
  return answers;
}

std::vector<nb::object> label_objects(const Pipeline& pipeline) {
  std::vector<nb::object> labels;
  for (const std::string& label : pipeline.info().labels)
    labels.push_back(nb::str(label.c_str(), label.size()));
  return labels;
}

// texts: a tuple of str; seconds: None, or a tuple of str and None of the same length. `first`: the
// index of the first text, for messages. `top`: None gives one dict a text, else a list of dicts.
nb::list classify(Handle& handle, const nb::tuple& texts, const nb::object& seconds,
                  std::size_t first, const std::string& function, std::optional<std::size_t> top) {
  std::vector<Text> views(texts.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    look_for_signals(i);
    views[i] = view_of(texts[i], {"text ", first + i});
    if (seconds.is_none()) continue;
    if (const nb::handle second = seconds[i]; !second.is_none())
      views[i].second = view_of(second, {"text_pair of text ", first + i});
  }
  const std::shared_ptr<Pipeline> pipeline = handle.pipeline();
  const Answers answers = run(*pipeline, views);
  const std::vector<nb::object> labels = label_objects(*pipeline);
  const ScoreFunction chosen = function_of(function, pipeline->function());
  nb::list out;
  Ranking ranking(labels.size(), chosen);
  for (std::size_t text = 0; text < views.size(); ++text) {
    look_for_signals(text);
    if (!top && chosen == pipeline->function()) {
      out.append(answer(labels[answers.labels[text]], answers.scores[text]));
      continue;
    }
    ranking.rank(answers, text);
    if (!top) {
      out.append(answer(labels[ranking.label(0)], ranking.score(0)));
      continue;
    }
    nb::list ranked;
    for (std::size_t place = 0; place < std::min(*top, labels.size()); ++place) {
      ranked.append(answer(labels[ranking.label(place)], ranking.score(place)));
    }
    out.append(ranked);
  }
  return out;
}

// --- Arrow

template <class Struct>
Struct& capsule_value(const nb::handle& capsule, const char* name) {
  void* value = PyCapsule_GetPointer(capsule.ptr(), name);
  if (value == nullptr) throw nb::python_error();
  return *static_cast<Struct*>(value);
}

template <class Struct>
nb::object capsule_of(std::unique_ptr<Struct> value, const char* name) {
  PyObject* capsule = PyCapsule_New(value.get(), name, [](PyObject* self) {
    auto* held = static_cast<Struct*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self)));
    release(*held);
    delete held;  // NOLINT(cppcoreguidelines-owning-memory)
  });
  if (capsule == nullptr) throw nb::python_error();
  static_cast<void>(value.release());  // NOLINT(bugprone-unused-return-value): the capsule has it
  return nb::steal(capsule);
}

// `work` gets a flag that ends it.
template <class Work>
TextColumn read_unlocked(const Work& work) {
  std::atomic<bool> stop{false};
  return value_or_throw(run_interruptibly([&] { return work(stop); }, [&] { stop = true; }));
}

TextColumn read_column(const nb::object& column, const std::string& what) {
  if (nb::hasattr(column, "__arrow_c_stream__")) {
    const nb::object capsule = column.attr("__arrow_c_stream__")();
    Owned stream(capsule_value<ArrowArrayStream>(capsule, "arrow_array_stream"));
    // A producer that needs the interpreter's lock takes it.
    return read_unlocked([&](auto& stop) { return TextColumn::read(std::move(stream), stop); });
  }
  if (nb::hasattr(column, "__arrow_c_array__")) {
    const nb::object capsules = column.attr("__arrow_c_array__")();
    Owned schema(capsule_value<ArrowSchema>(capsules[0], "arrow_schema"));
    Owned array(capsule_value<ArrowArray>(capsules[1], "arrow_array"));
    return read_unlocked(
        [&](auto& stop) { return TextColumn::read(std::move(schema), std::move(array), stop); });
  }
  const std::string type = nb::cast<std::string>(nb::object(column.type().attr("__name__")));
  throw nb::type_error((what + " is " + type +
                        ", which has neither __arrow_c_stream__ nor __arrow_c_array__; give a "
                        "column of pyarrow, polars or duckdb, or pyarrow.array(texts)")
                           .c_str());
}

struct Labels {
  std::shared_ptr<const LabelColumns> columns;
  Part part = Part::table;

  nb::tuple array(const nb::object& /*requested_schema*/) const {
    auto schema = std::make_unique<ArrowSchema>();
    auto array = std::make_unique<ArrowArray>();
    give(columns, part, *schema, *array);
    return nb::make_tuple(capsule_of(std::move(schema), "arrow_schema"),
                          capsule_of(std::move(array), "arrow_array"));
  }
  nb::object stream(const nb::object& /*requested_schema*/) const {
    auto stream = std::make_unique<ArrowArrayStream>();
    give(columns, part, *stream);
    return capsule_of(std::move(stream), "arrow_array_stream");
  }
  Labels column(const std::string& name) const {
    if (part == Part::table && name == "label") return {columns, Part::label};
    if (part == Part::table && name == "score") return {columns, Part::score};
    const bool ranked = part == Part::table && !columns->ranked_ends.empty();
    if (ranked && name == "scores") return {columns, Part::scores};
    throw nb::key_error(
        ("there is no column '" + name + "': label, score" + (ranked ? ", scores" : "")).c_str());
  }
};

Labels classify_arrow(Handle& handle, const nb::object& column, const nb::object& pair,
                      const std::string& function, std::optional<std::size_t> top) {
  const std::shared_ptr<Pipeline> pipeline = handle.pipeline();
  const TextColumn first = read_column(column, "the column");
  std::optional<TextColumn> second;
  if (!pair.is_none()) second = read_column(pair, "the column of second texts");
  if (second && second->size() != first.size()) {
    throw nb::value_error(("the column has " + std::to_string(first.size()) +
                           " rows, and that of the second texts " + std::to_string(second->size()))
                              .c_str());
  }
  auto columns = std::make_shared<LabelColumns>();
  const LabelForm form{pipeline->info().labels, pipeline->function(),
                       function_of(function, pipeline->function()), top};
  Call call;
  auto done = run_interruptibly(
      [&]() -> Result<void> {
        const auto answer = [&](std::span<const Text> texts, Answers& answers) {
          return pipeline->run(texts, answers, call);
        };
        BREAKEVEN_TRY_VOID(label_rows(first, second ? &*second : nullptr, form, answer, *columns));
        pipeline->count(call);
        return {};
      },
      [&] { pipeline->interrupt(call); });
  if (!done) throw_error(done.error());
  return {std::move(columns)};
}

nb::dict info_of(Handle& handle) {
  const std::shared_ptr<Pipeline> pipeline = handle.pipeline();
  const ClassifierInfo& info = pipeline->info();
  nb::dict out;
  out["model"] = info.model_name;
  out["folder"] = pipeline->folder();
  out["labels"] = info.labels;
  out["device"] = to_string(info.device);
  out["precision"] = to_string(info.precision);
  out["instruction_set"] = info.instruction_set;
  out["threads"] = info.threads;
  out["max_length"] = info.max_length;
  out["weight_bytes"] = info.weight_bytes;
  out["notes"] = pipeline->notes();
  return out;
}

// A line of JSON, for the records of shards that Python does.
std::string record_of(Handle& handle) {
  return value_or_throw(record::to_json_line(handle.pipeline()->prototype()));
}

nb::dict stats_of(Handle& handle) {
  const Stats stats = handle.pipeline()->stats();
  nb::dict out;
  out["texts"] = stats.texts;
  out["truncated"] = stats.truncated;
  out["tokens"] = stats.tokens;
  out["seconds"] = stats.seconds;
  return out;
}

}  // namespace
}  // namespace breakeven::python

NB_MODULE(_core, module) {
  using namespace breakeven::python;
  module.attr("version") = BREAKEVEN_VERSION;
  nb::class_<Labels>(module, "Labels",
                     "Labels and scores of a column, by Arrow's PyCapsule interface: a table of "
                     "label (dictionary of str), score (float32) and, with top_k, scores (list of "
                     "both), or one of its columns.")
      .def("__len__", [](const Labels& labels) { return labels.columns->labels.size(); })
      .def("__arrow_c_array__", &Labels::array, "requested_schema"_a = nb::none())
      .def("__arrow_c_stream__", &Labels::stream, "requested_schema"_a = nb::none())
      .def("__getitem__", &Labels::column, "name"_a);
  nb::class_<Handle>(module, "Handle")
      .def("__init__",
           [](Handle* self, std::string model, std::string device, std::string precision,
              std::uint64_t threads, std::uint64_t max_length, std::uint64_t batch) {
             new (self) Handle({std::move(model), std::move(device), std::move(precision), threads,
                                max_length, batch});
           })
      .def("classify", &classify, "texts"_a, "seconds"_a.none(), "first"_a, "function"_a,
           "top"_a.none())
      .def("arrow", &classify_arrow, "column"_a.none(), "pair"_a.none(), "function"_a,
           "top"_a.none())
      .def("close", &Handle::close)
      .def_prop_ro("closed", &Handle::closed)
      .def_prop_ro("info", &info_of)
      .def_prop_ro("record", &record_of)
      .def_prop_ro("stats", &stats_of);
}
