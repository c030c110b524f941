// breakeven serve: a model behind HTTP.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "base/cpus.h"
#include "base/files.h"
#include "base/limits.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "cli/text_options.h"
#include "decide/latency_study.h"
#include "engine/decode.h"
#include "engine/native.h"
#include "engine/placement.h"
#include "measure/paced.h"
#include "ops/cuda/device_list.h"
#include "record/json.h"
#include "record/known.h"
#include "serve/listener.h"
#include "session/study_input.h"

namespace breakeven::cli {
namespace {

struct ServeFlags {
  std::string model, precision = "fp32", device = "auto", threads = "all", max_length;
  std::string listen = "127.0.0.1:8000", p99, key_file, connections = "1024", of_one_address,
              drain = "30s";
  std::string cpu_price, gpu_price;
  bool insecure = false;
};

constexpr std::size_t kBatchTexts = 64;
constexpr double kDefaultLimit_s = 10;

Result<serve::ListenOptions> listen_options(const ServeFlags& flags) {
  serve::ListenOptions options;
  options.address = flags.listen;
  BREAKEVEN_TRY(options.connections,
                parse_number("--max-connections", flags.connections, 1, 1'000'000));
  options.of_one_address = serve::usual_of_one_address(options);
  if (!flags.of_one_address.empty()) {
    BREAKEVEN_TRY(options.of_one_address,
                  parse_number("--connections-per-address", flags.of_one_address, 1, 1'000'000));
  }
  BREAKEVEN_TRY(options.drain_s, parse_latency("--drain", flags.drain));
  if (!flags.key_file.empty()) {
    BREAKEVEN_TRY(options.connection.api_key, read_key(flags.key_file));
  }
  if (serve::is_local(flags.listen) || flags.insecure || !flags.key_file.empty()) return options;
  return fail("serve/open", fmt::format("--listen {} lets others in without a key", flags.listen),
              "give --api-key-file FILE, or --insecure where a proxy asks for one");
}

// "distilbert/sst-2 (6 x 768)" -> "sst-2": what may stand in a path.
std::string served_name(std::string name) {
  name = name.substr(0, name.find(" ("));
  name = name.substr(name.find_last_of('/') + 1);
  for (char& c : name) {
    const bool safe = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-';
    if (!safe) c = '_';
  }
  return name;
}

// What a load generator's records say of this server. Several devices stand as a way of using it.
Result<std::string> record_of(const engine::LoadedModel& model, const Setup& setup,
                              const std::vector<std::string>& devices) {
  record::Record record = session::make_prototype(model);
  record.cell = setup;
  record.cell.runtime.variant =
      devices.size() > 1 ? fmt::format("{}", fmt::join(devices, ",")) : "";
  record.gpu = session::gpu_of(setup.device);
  return record::to_json_line(record);
}

serve::Served served_of(const engine::LoadedModel& model, const Setup& setup) {
  serve::Served served;
  served.model = served_name(model.name);
  served.device = to_string(setup.device);
  served.precision = to_string(setup.precision);
  served.labels = model.checkpoint.plan.labels;
  served.function = model.checkpoint.plan.score;
  served.max_length = setup.max_length;
  served.takes_pairs = setup.max_length >= model.tokenizer->info().pair_special_ids;
  served.count_tokens = [tokenizer = model.tokenizer](const Text& text) {
    // Of each thread, for as long as it lives; there is one tokenizer in this program.
    thread_local auto scratch = tokenizer->make_scratch();
    thread_local std::vector<std::int32_t> ids;
    ids.clear();
    text::EncodeOptions options;
    options.truncate = false;
    tokenizer->encode(text, options, *scratch, ids);
    return ids.size();
  };
  served.score = [function = served.function](std::span<const float> logits,
                                              std::span<float> scores) {
    engine::score(logits, function, scores);
  };
  return served;
}

// What the live break-even weighs a CPU against where no GPU is here: the fastest of the newest
// record that ships with this program, if it is of a model of this shape.
std::vector<serve::Machine> known_gpu_machine(const engine::LoadedModel& model) {
  const model::EncoderPlan& plan = model.checkpoint.plan;
  const record::ModelShape shape{plan.layers, plan.hidden, plan.heads, plan.intermediate};
  serve::Machine found;
  found.is_gpu = true;
  found.here = false;
  std::string newest;
  const auto names = record::known_names();
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    const auto records = record::known_records(name);
    if (!records || records->front().model_shape != shape) continue;
    if (records->front().started_at < newest) continue;
    const decide::Sorted sorted = decide::sort_rows(*records);
    std::optional<decide::Family> fastest;
    for (decide::Family& family : decide::fit_families(sorted.configurations)) {
      if (!family.model || !family.any->gpu) continue;
      if (fastest && fastest->model->b_s_per_token.value <= family.model->b_s_per_token.value) {
        continue;
      }
      fastest = std::move(family);
    }
    if (!fastest) continue;
    newest = records->front().started_at;
    found.device = fastest->any->gpu->name;
    found.model = *fastest->model;
    found.source = fmt::format("the record of {:.10} that ships with this program, {}", newest,
                               to_string(fastest->any->cell.precision));
  }
  if (newest.empty()) return {};
  return {found};
}

// Of several devices those that agree with the first one, by the limits of docs/parity.md.
Result<void> keep_those_that_agree(std::vector<serve::LaneSetup>& lanes, Precision precision) {
  if (lanes.size() == 1) return {};
  constexpr std::size_t kTexts = 256;
  data::SourceOptions source;
  BREAKEVEN_TRY(const data::ReviewSet reviews, session::read_texts(source, kTexts));
  std::vector<Text> texts;
  for (const data::Review& review : reviews.reviews) texts.emplace_back(review.text);
  const double allowed = limit(fmt::format("model/{}/flips_share", to_string(precision)));
  const auto answers = [&](const serve::LaneSetup& lane) {
    return measure::answer_all(*lane.classifier, texts, kBatchTexts);
  };
  BREAKEVEN_TRY(const measure::Samples first, answers(lanes.front()));
  for (std::size_t i = 1; i < lanes.size();) {
    BREAKEVEN_TRY(const measure::Samples other, answers(lanes[i]));
    std::size_t flips = 0;
    for (std::size_t t = 0; t < texts.size(); ++t)
      flips += first.labels[t] != other.labels[t] ? 1U : 0U;
    const bool agrees = double(flips) <= allowed * double(texts.size());
    tell(fmt::format("{} gives other labels than {} for {} of {} texts{}", lanes[i].device,
                     lanes.front().device, flips, texts.size(), agrees ? "" : ": it stays out"));
    if (agrees) {
      ++i;
    } else {
      lanes.erase(lanes.begin() + std::ptrdiff_t(i));
    }
  }
  return {};
}

// Tokens that a batch may have: so many that its fixed cost is a twentieth of it, and not fewer
// than four texts' or more than all of a batch's texts.
serve::BatchLimits batch_limits(const serve::LaneSetup& lane, std::size_t max_length) {
  const serve::BatchTime time(lane.anchors);
  const decide::LatencyModel& model = time.model();
  const double by_cost = 20 * model.a_s.value / std::max(1e-12, model.b_s_per_token.value);
  const auto length = static_cast<double>(max_length);
  const double tokens = std::clamp(by_cost, 4 * length, double(kBatchTexts) * length);
  tell(fmt::format(
      "{}: a batch takes {} and {} a token, so batches of up to {:.0f} tokens; nobody waits for a "
      "batch to fill: while one is computed, others collect for nothing",
      lane.device, format_seconds(model.a_s.value), format_seconds(model.b_s_per_token.value),
      tokens));
  return {static_cast<std::uint64_t>(tokens), kBatchTexts};
}

// Threads of a CPU lane beside GPUs: a core is left for what tokenises, one for what talks to the
// clients.
unsigned threads_beside_gpus(unsigned threads) {
  constexpr unsigned kLeft = 2;
  return std::max(1U, threads - std::min(threads, kLeft));
}

Result<void> run_server(const ServeFlags& flags) {
  BREAKEVEN_TRY(const serve::ListenOptions listen, listen_options(flags));
  serve::ServiceOptions options;
  options.limit_s = kDefaultLimit_s;
  if (!flags.p99.empty()) {
    BREAKEVEN_TRY(options.limit_s, parse_latency("--p99", flags.p99));
  }
  if (!flags.cpu_price.empty()) {
    BREAKEVEN_TRY(options.prices.cpu, parse_price("--cpu-price", flags.cpu_price));
  }
  if (!flags.gpu_price.empty()) {
    BREAKEVEN_TRY(options.prices.gpu, parse_price("--gpu-price", flags.gpu_price));
  }
  TextFlags texts;  // the same flags, understood in the same way
  texts.precision = flags.precision;
  texts.threads = flags.threads;
  texts.max_length = flags.max_length;
  texts.device = "cpu";
  BREAKEVEN_TRY(TextOptions asked, check_text_flags(texts));
  BREAKEVEN_TRY(const auto devices, ops::select_devices(flags.device, ops::list_gpus()));
  // Whatever it may start has no more rights than itself. Not before GPUs were looked for: their
  // driver may start a program to make their devices.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::geteuid() == 0) {
    tell("it runs as root: a user of its own can do less harm (tools/breakeven.service has one)");
  }
  if (!listen.connection.api_key.empty()) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);  // a dump would hold the key
  }
  // Before seconds are spent on a model.
  BREAKEVEN_TRY(const auto listener, serve::Listener::open(listen));
  asked.device_note = devices.note;
  BREAKEVEN_TRY(const OpenModel open, open_model(flags.model, asked));
  Setup setup = open.setup;
  setup.batch = kBatchTexts;
  data::SourceOptions builtin;
  BREAKEVEN_TRY(const data::ReviewSet sample, session::read_texts(builtin, 16));
  std::string words;  // of all lengths, real ones
  for (const data::Review& review : sample.reviews) words += review.text + " ";

  std::vector<serve::LaneSetup> lanes;
  if (devices.devices.size() > 1 && flags.threads == "all") {
    setup.threads = threads_beside_gpus(setup.threads);
  }
  for (const Device& device : devices.devices) {
    setup.device = device;
    serve::LaneSetup lane;
    lane.device = to_string(device);
    lane.make_anew = [model = open.model, setup] {
      return engine::make_native(model, {.setup = setup, .whole_tokens = true});
    };
    BREAKEVEN_TRY(lane.classifier, lane.make_anew());
    BREAKEVEN_TRY(lane.anchors,
                  serve::measure_anchors(*lane.classifier, words, kBatchTexts, monotonic_clock()));
    lanes.push_back(std::move(lane));
  }
  BREAKEVEN_TRY_VOID(keep_those_that_agree(lanes, setup.precision));
  options.limits.batch = batch_limits(lanes.front(), setup.max_length);
  options.post = listener->poster();
  options.tell = [](const std::string& line) { tell(line); };
  const bool any_gpu = std::any_of(devices.devices.begin(), devices.devices.end(),
                                   [](const Device& device) { return !device.is_cpu(); });
  // A thread tokenises ahead where it has a core to itself: beside a GPU, or beside CPU lanes that
  // leave one.
  if (any_gpu || setup.threads < usable_cpus().ids.size()) {
    const auto reader = std::make_shared<engine::TextReader>(
        *open.model, engine::NativeOptions{.setup = setup, .whole_tokens = true});
    options.read = [reader](const Text& text, TokenIds& made) { reader->read(text, made); };
    tell("one batch is tokenised ahead, on a core of its own, while another one is computed");
  }
  setup.device = devices.devices.front();
  if (!any_gpu) options.elsewhere = known_gpu_machine(*open.model);
  std::vector<std::string> names;
  names.reserve(lanes.size());
  for (const serve::LaneSetup& lane : lanes) names.push_back(lane.device);
  serve::Served served = served_of(*open.model, setup);
  std::optional<serve::Service> started;
  try {
    // The model's hash takes as long as reading its file: nobody waits for it.
    served.record = std::async(std::launch::async, [model = open.model, setup, names] {
                      return record_of(*model, setup, names).value_or("null");
                    }).share();
    started.emplace(std::move(served), std::move(lanes), options);
  } catch (const std::system_error& error) {
    return fail("serve/thread", fmt::format("a lane's thread did not start: {}", error.what()),
                "end other programs, or allow more processes: ulimit -u");
  }
  serve::Service& service = *started;
  listener->hear_signals();
  tell(fmt::format("{} in {} on {} at {}; a request is let in if it will be answered within {}",
                   service.served().model, service.served().precision, service.served().device,
                   listener->address(), format_seconds(options.limit_s)));
  listener->run(service);
  const serve::Counters& counters = service.core().counters();
  const auto ended = [&](serve::Outcome outcome) {
    return counters.ended[static_cast<std::size_t>(outcome)];
  };
  tell(fmt::format("ended: {} requests answered, {} of those accepted were not",
                   ended(serve::Outcome::answered),
                   ended(serve::Outcome::drained) + ended(serve::Outcome::failed) +
                       ended(serve::Outcome::expired)));
  if (!service.hopeless()) return {};
  return fail("serve/no-device", "no device works any more, and what was made anew did not, either",
              "start it again, as systemd does (tools/breakeven.service)");
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("serve", "Answer requests over HTTP (docs/serving.md)");
  const auto flags = std::make_shared<ServeFlags>();
  command.add_option("--model", flags->model,
                     "folder, name in the Hugging Face cache, builtin or builtin-narrow");
  command.add_option("--precision", flags->precision,
                     "fp32, fp32x3, bf16, fp16, int8, fp8 (GPUs only) [fp32]");
  command.add_option("--device", flags->device,
                     "auto, or a list that answers together: cpu, cuda, cuda:0,cpu ... [auto]");
  command.add_option("--threads", flags->threads, "CPU threads: a number or all [all]");
  command.add_option("--max-length", flags->max_length,
                     "tokens at which a text is cut, [CLS] and [SEP] included [512]");
  command.add_option("--listen", flags->listen,
                     "HOST:PORT, or unix:PATH for a Unix socket [127.0.0.1:8000]");
  command.add_option("--p99", flags->p99,
                     "a request that would take longer is refused at once, with 429 [10s]");
  command.add_option("--api-key-file", flags->key_file,
                     "file with the key that clients must send: Authorization: Bearer KEY");
  command.add_flag("--insecure", flags->insecure,
                   "listen where others can come, without a key: behind a proxy");
  command.add_option("--max-connections", flags->connections, "more are told 503 [1024]");
  command.add_option("--connections-per-address", flags->of_one_address,
                     "likewise [64; all where only this machine can reach it]");
  command.add_option("--cpu-price", flags->cpu_price,
                     "of the CPU machine, an hour: what /v1/breakeven goes by");
  command.add_option("--gpu-price", flags->gpu_price, "of the GPU machine, an hour");
  command.add_option("--drain", flags->drain,
                     "after SIGTERM, time for what was accepted; a second one ends it [30s]");
  command.callback([flags, &context] { finish(context, run_server(*flags)); });
}

}  // namespace breakeven::cli
