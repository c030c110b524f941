// The break-even of what a server sees: could the CPU or the GPU alone answer this load within the
// limit, at what cost, and at which load does the answer change? By decide's models. Pure, and some
// tenths of a second long: not for the server's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decide/latency_model.h"
#include "decide/queue_model.h"
#include "serve/lane_plan.h"
#include "serve/traffic.h"

namespace breakeven::serve {

struct Machine {
  std::string device;  // "cpu", "cuda:0", "NVIDIA H100 80GB HBM3"
  bool is_gpu = false;
  bool here = true;    // a lane; else one that is not in this machine, known from records
  std::string source;  // of the model
  decide::LatencyModel model;
};

struct Alone {
  std::string device;
  bool is_gpu = false, here = true;
  std::string source;
  std::optional<double> use;            // that was seen of it
  double full_per_s = 0;                // texts, in full batches
  decide::QueueRate highest;            // texts a second within the limit
  std::optional<decide::Response> now;  // at the load that was seen; nothing = it cannot carry it
};

struct Live {
  Observed observed;
  double limit_s = 0;
  std::vector<Alone> alone;  // one a machine
};

// `machines`: the lanes first, in their order. Without lengths (no text came yet): nothing alone.
Live live_of(Observed observed, const std::vector<Machine>& machines, const BatchLimits& batch,
             double limit_s);

struct Prices {
  std::optional<double> cpu, gpu;  // of a machine, an hour
};
// As JSON, with what the prices say.
std::string to_json(const Live& live, const Prices& prices);

}  // namespace breakeven::serve
