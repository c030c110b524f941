#include "report/gpu_tables.h"

#include <fmt/format.h>

#include "base/units.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

TableCell number(const std::optional<double>& value, std::string_view unit) {
  if (!value) return no_value();
  return fmt::format("{}{}", three_digits(*value), unit);
}

TableCell seconds(const std::optional<record::Stages>& stages, double record::Stages::*stage) {
  if (!stages) return no_value();
  return format_seconds((*stages).*stage);
}

TableCell share(const std::optional<double>& value) {
  if (!value) return no_value();
  return percent(*value);
}

TableCell bytes(const std::optional<std::uint64_t>& count) {
  if (!count) return no_value();
  return format_bytes(static_cast<double>(*count));
}

TableCell slowed(const record::Gpu& gpu) {
  if (gpu.looks == 0) return no_value();
  if (gpu.throttle_reasons.empty()) return "no";
  return {fmt::format("{}", fmt::join(gpu.throttle_reasons, ", ")),
          gpu.throttled_looks > 0 ? Style::careful : Style::plain};
}

}  // namespace

Table gpu_table(const Records& records, const Keys& keys) {
  Table table = keys.table(
      {left("mode"), right("upload", 3), right("compute"), right("download", 3), right("busy"),
       right("utilisation", 2), right("SM clock"), right("lowest", 2), right("memory clock", 4),
       right("hottest", 1), right("power", 1), right("limit", 4), left("slowed by")});
  for (const record::Record& record : records) {
    if (!record.gpu) continue;
    const record::Gpu& gpu = *record.gpu;
    table.add_row(keys.row(
        record, {to_string(record.cell.mode), seconds(gpu.event_stages, &record::Stages::upload_s),
                 seconds(gpu.event_stages, &record::Stages::compute_s),
                 seconds(gpu.event_stages, &record::Stages::download_s), share(gpu.busy_share),
                 share(gpu.utilisation_share), number(gpu.sm_mhz_median, " MHz"),
                 number(gpu.sm_mhz_min, " MHz"), number(gpu.memory_mhz_median, " MHz"),
                 number(gpu.temperature_c_max, " °C"), number(gpu.power_w_mean, " W"),
                 number(gpu.power_limit_w, " W"), slowed(gpu)}));
  }
  return table;
}

Table gpu_memory_table(const Records& records, const Keys& keys) {
  Table table =
      keys.table({left("mode"), right("weights", 2), right("activations", 2), right("own peak"),
                  right("by NVML"), right("library", 1), right("of", 3)});
  for (const record::Record& record : records) {
    if (!record.memory || !record.memory->device_peak_allocated_bytes) continue;
    const record::Memory& memory = *record.memory;
    table.add_row(keys.row(
        record,
        {to_string(record.cell.mode), bytes(memory.weight_bytes), bytes(memory.activation_bytes),
         bytes(memory.device_peak_allocated_bytes), bytes(memory.device_used_bytes),
         bytes(memory.device_library_bytes), bytes(memory.device_total_bytes)}));
  }
  return table;
}

}  // namespace breakeven::report
