#include "engine/runner.h"

#include <algorithm>

#include "model/forward.h"

namespace breakeven::engine {

Error device_failed(const std::string& device, const std::exception& failure) {
  return {"device/failed", device + ": " + failure.what(),
          "after some errors a process cannot use its GPU again: start a new one"};
}

void add(StageSeconds& sum, const StageSeconds& more) {
  sum.tokenize += more.tokenize;
  sum.pack += more.pack;
  sum.upload += more.upload;
  sum.compute += more.compute;
  sum.download += more.download;
  sum.decode += more.decode;
  sum.device_compute += more.device_compute;
}

Result<Worker> Worker::make(const Place& place, const ops::LaneLimits& limits) {
  Worker worker;
  worker.place = &place;
  BREAKEVEN_TRY(worker.lane, place.backend->make_lane(place.packed, limits));
  worker.ids.reserve(limits.rows);
  worker.token_types.reserve(limits.rows);
  worker.cu_seqlens.reserve(limits.sequences + 1);
  worker.valid_len.reserve(limits.sequences);
  return worker;
}

void Worker::run(const BatchWork& work, std::span<const std::uint32_t> texts,
                 const Setting& setting, std::span<float> logits, StageSeconds& stages) {
  Lap lap(*setting.options.clock);
  ids.clear();
  token_types.clear();
  cu_seqlens.assign(1, 0);
  valid_len.clear();
  for (const std::uint32_t text : texts) {
    const auto real = work.ids(text);
    ids.insert(ids.end(), real.begin(), real.end());
    ids.insert(ids.end(), work.rows()[text] - real.size(), setting.plan.pad_id);
    const auto types = work.token_types(text);
    token_types.insert(token_types.end(), types.begin(), types.end());
    if (!types.empty()) token_types.resize(ids.size());  // HF pads with type 0
    cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
    valid_len.push_back(static_cast<std::int32_t>(real.size()));
  }
  ops::Backend& backend = *place->backend;
  const bool has_device = backend.has_device();
  if (has_device) stages.pack += lap.seconds();
  backend.upload(
      *lane,
      {.ids = ids, .token_types = token_types, .cu_seqlens = cu_seqlens, .valid_len = valid_len});
  // A host's lane only takes over the ids: nothing crosses a bus, so this is packing.
  if (!has_device) stages.pack += lap.seconds();
  // A device replays what it recorded: it cannot end early.
  model::forward(backend, *lane, setting.plan, has_device ? nullptr : setting.options.stop);
  const std::span<const float> result = backend.wait(*lane);
  const std::size_t labels = setting.plan.labels.size();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::ranges::copy(result.subspan(i * labels, labels),
                      logits.begin() + static_cast<std::ptrdiff_t>(texts[i] * labels));
  }
  const double seconds = lap.seconds();
  // The device's clock says what crossing the bus took; the rest of the host's time is computing,
  // launches and waiting included, so that the stages add up to the total.
  const ops::DeviceSeconds device = backend.device_seconds(*lane);
  stages.upload += device.upload;
  stages.download += device.download;
  stages.device_compute += device.compute;
  stages.compute += std::max(0.0, seconds - device.upload - device.download);
}

}  // namespace breakeven::engine
