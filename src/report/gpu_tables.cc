#include "report/gpu_tables.h"

#include <fmt/format.h>

#include "base/units.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

TableCell number(const std::optional<double>& value, std::string_view unit) {
  if (!value) return {"-", Style::dim};
  return {fmt::format("{}{}", three_digits(*value), unit), {}};
}

TableCell seconds(const std::optional<record::Stages>& stages, double record::Stages::*stage) {
  if (!stages) return {"-", Style::dim};
  return {format_seconds((*stages).*stage), {}};
}

TableCell share(const std::optional<double>& value) {
  if (!value) return {"-", Style::dim};
  return {percent(*value), {}};
}

TableCell bytes(const std::optional<std::uint64_t>& count) {
  if (!count) return {"-", Style::dim};
  return {format_bytes(static_cast<double>(*count)), {}};
}

TableCell slowed(const record::Gpu& gpu) {
  if (gpu.looks == 0) return {"-", Style::dim};
  if (gpu.throttle_reasons.empty()) return {"no", {}};
  return {fmt::format("{}", fmt::join(gpu.throttle_reasons, ", ")),
          gpu.throttled_looks > 0 ? Style::careful : Style::plain};
}

}  // namespace

Table gpu_table(const Records& records, const Keys& keys) {
  std::vector<Column> columns = keys.columns();
  for (const Column& column :
       {Column{"mode", true, 0}, Column{"upload", false, 3}, Column{"compute", false, 0},
        Column{"download", false, 3}, Column{"busy", false, 0}, Column{"utilisation", false, 2},
        Column{"SM clock", false, 0}, Column{"lowest", false, 2}, Column{"memory clock", false, 4},
        Column{"hottest", false, 1}, Column{"power", false, 1}, Column{"limit", false, 4},
        Column{"slowed by", true, 0}}) {
    columns.push_back(column);
  }
  Table table(columns);
  for (const record::Record& record : records) {
    if (!record.gpu) continue;
    const record::Gpu& gpu = *record.gpu;
    std::vector<TableCell> cells = keys.cells(record);
    for (TableCell& cell :
         std::vector<TableCell>{{record.cell.mode, {}},
                                seconds(gpu.event_stages, &record::Stages::upload_s),
                                seconds(gpu.event_stages, &record::Stages::compute_s),
                                seconds(gpu.event_stages, &record::Stages::download_s),
                                share(gpu.busy_share),
                                share(gpu.utilisation_share),
                                number(gpu.sm_mhz_median, " MHz"),
                                number(gpu.sm_mhz_min, " MHz"),
                                number(gpu.memory_mhz_median, " MHz"),
                                number(gpu.temperature_c_max, " °C"),
                                number(gpu.power_w_mean, " W"),
                                number(gpu.power_limit_w, " W"),
                                slowed(gpu)}) {
      cells.push_back(std::move(cell));
    }
    table.add_row(std::move(cells));
  }
  return table;
}

Table gpu_memory_table(const Records& records, const Keys& keys) {
  std::vector<Column> columns = keys.columns();
  for (const Column& column :
       {Column{"mode", true, 0}, Column{"weights", false, 2}, Column{"activations", false, 2},
        Column{"own peak", false, 0}, Column{"by NVML", false, 0}, Column{"library", false, 1},
        Column{"of", false, 3}}) {
    columns.push_back(column);
  }
  Table table(columns);
  for (const record::Record& record : records) {
    if (!record.memory || !record.memory->device_peak_allocated_bytes) continue;
    const record::Memory& memory = *record.memory;
    std::vector<TableCell> cells = keys.cells(record);
    for (TableCell& cell : std::vector<TableCell>{{record.cell.mode, {}},
                                                  bytes(memory.weight_bytes),
                                                  bytes(memory.activation_bytes),
                                                  bytes(memory.device_peak_allocated_bytes),
                                                  bytes(memory.device_used_bytes),
                                                  bytes(memory.device_library_bytes),
                                                  bytes(memory.device_total_bytes)}) {
      cells.push_back(std::move(cell));
    }
    table.add_row(std::move(cells));
  }
  return table;
}

}  // namespace breakeven::report
