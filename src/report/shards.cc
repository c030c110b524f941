#include "report/shards.h"

#include <fmt/format.h>

#include "base/units.h"
#include "decide/shards.h"
#include "report/format.h"

namespace breakeven::report {

void shard_blocks(Document& document, std::span<const record::Record> records,
                  const FirstScreen& options) {
  const decide::ShardSummary all =
      decide::summarise_shards(records, options.cpu_price, options.gpu_price);
  if (all.shards == 0 && all.checked == 0) return;
  document.paragraph(
      fmt::format("{} of a job: {}", counted(all.shards, "shard"), counted(all.texts, "text")),
      Style::strong);
  Table table({left("device"), right("machines", 1), right("shards"), right("texts"),
               right("tokens", 2), right("hours of a machine"), right("texts/s a worker"),
               right("reading", 1), right("cost"), right("a million texts")});
  bool priced = false;
  for (const decide::DeviceShards& device : all.devices) {
    const auto texts = static_cast<double>(device.texts);
    priced = priced || device.cost.has_value();
    table.add_row({device.device, std::to_string(device.machines), std::to_string(device.shards),
                   three_digits(texts), three_digits(static_cast<double>(device.tokens)),
                   three_digits(device.device_hours), three_digits(device.texts_per_s()),
                   percent(device.seconds > 0 ? device.read_s / device.seconds : 0),
                   device.cost ? TableCell(three_digits(*device.cost)) : no_value(),
                   device.cost && texts > 0 ? TableCell(three_digits(*device.cost / texts * 1e6))
                                            : no_value()});
  }
  if (!all.devices.empty()) document.table(std::move(table));
  if (!priced) document.bullet("Cost: --cpu-price and --gpu-price, of a machine an hour.");
  if (all.adopted > 0) {
    document.bullet(
        fmt::format("{} committed by attempts that died before they could tell: "
                    "their device and time are not known.",
                    counted(all.adopted, "shard")));
  }
  if (all.rejected > 0) {
    document.bullet(fmt::format("{} without a label (breakeven_rejected says why).",
                                counted(all.rejected, "text")),
                    Style::careful);
  }
  if (all.checked > 0) {
    document.bullet(fmt::format(
        "Two kinds of devices did {}: {} of {} labels differ{}.", counted(all.checked, "shard"),
        all.flips, all.checked_texts,
        all.logit_abs_max ? fmt::format(", logits by at most {}", three_digits(*all.logit_abs_max))
                          : ""));
  }
}

}  // namespace breakeven::report
