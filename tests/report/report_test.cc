#include "report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "record/json.h"
#include "report/format.h"
#include "report/sample_records.h"
#include "report/snapshot.h"
#include "report/table.h"

namespace breakeven::report {
namespace {

using breakeven::testing::expect_snapshot;
using breakeven::testing::sample_paced;
using breakeven::testing::sample_record;
using breakeven::testing::sample_run;
using breakeven::testing::sample_run_of_runtimes;
using breakeven::testing::sample_scaling;
using ::testing::HasSubstr;
using ::testing::Not;

std::string as(const std::vector<record::Record>& records, Format format, bool colour = false) {
  RenderOptions options;
  options.format = format;
  options.colour = colour;
  options.all = true;
  const auto text = render(records, options);
  EXPECT_TRUE(text) << (text ? "" : text.error().message);
  return text.value_or("");
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    widest = std::max(widest, display_width(line));
  }
  return widest;
}

TEST(Report, TableOfARun) {
  expect_snapshot("run.txt", as(sample_run(), Format::table));
}
TEST(Report, MarkdownOfARun) {
  expect_snapshot("run.md", as(sample_run(), Format::md));
}
TEST(Report, CsvOfARun) {
  expect_snapshot("run.csv", as(sample_run(), Format::csv));
}
TEST(Report, TableOfAScalingStudy) {
  expect_snapshot("scale.txt", as(sample_scaling(), Format::table));
}

TEST(Report, ARowThatFailedHasNoTextsToCount) {
  auto records = sample_run();
  records[1].texts.count = 0;
  records[1].texts.real_tokens = 0;
  records[1].texts.mean_tokens = 0;
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, Not(HasSubstr("0 texts")));
  EXPECT_THAT(text, HasSubstr(fmt::format("{} texts of", records[0].texts.count)));
}

TEST(Report, WindowsTooShortForEnergyAreToldInOneLine) {
  auto records = sample_run();
  const char* lengths[] = {"0.134", "2.01", "0.9"};
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].energy.method = fmt::format("RAPL; GPU not available: {} s are too short a window",
                                           lengths[i % std::size(lengths)]);
  }
  const std::string text = as(records, Format::md);
  EXPECT_THAT(text,
              HasSubstr("Energy: RAPL; GPU not available: 0.134 to 2.01 s are too short windows."));
  EXPECT_THAT(text, Not(HasSubstr("too short a window")));
}

TEST(Report, OtherRuntimesStandBesideOurs) {
  expect_snapshot("runtimes.txt", as(sample_run_of_runtimes(), Format::table));
}

TEST(Report, TableOfPacedRows) {
  expect_snapshot("paced.txt", as(sample_paced(), Format::table));
}

TEST(Report, ASaturatedRowShowsNoLatencyAndSaysSo) {
  const std::string text = as(sample_paced(), Format::md);
  EXPECT_THAT(text, HasSubstr("| saturated |"));
  EXPECT_THAT(text, HasSubstr("keeps up with 40.0/s (p99 102 ms, 64.0 % busy); 200/s is too much "
                              "(it answers 71.5/s)."));
  EXPECT_THAT(text, HasSubstr("keeps up with 5.00/s (p90 380 ms"));
  EXPECT_THAT(text, Not(HasSubstr("Can't tell: no row")));
}

TEST(Report, PacedRowsThatDoNotCountGiveNoVerdict) {
  std::vector<record::Record> records = sample_paced();
  for (record::Record& record : records)
    record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
  const std::string text = as(records, Format::md);
  EXPECT_THAT(text, Not(HasSubstr("keeps up")));
  EXPECT_THAT(text, HasSubstr("Can't tell: no row"));
}

TEST(Report, ColdStartShowsItsParts) {
  const std::string text = as(sample_run(), Format::md);
  EXPECT_THAT(text, HasSubstr("| fp32 | 1 | 1.84 s | 1.20 s | 500 ms | 140 ms |"));
  // Loads and rates of one configuration start alike.
  const std::string paced = as(sample_paced(), Format::md);
  std::size_t rows = 0;
  for (std::size_t at = paced.find("1.84 s"); at != std::string::npos;
       at = paced.find("1.84 s", at + 1)) {
    ++rows;
  }
  EXPECT_EQ(rows, 2U);
}

TEST(Report, AGpuRowShowsItsClocksAndItsMemoryByBothCounts) {
  EXPECT_THAT(as(sample_run(), Format::md), Not(HasSubstr("NVML")));
  record::Record record = sample_record(Precision::fp16, 32, Mode::serial, 0.001);
  record.cell.device = Device{{0}};
  record.memory->weight_bytes = 130 << 20;
  record.memory->device_peak_allocated_bytes = 160 << 20;
  record.memory->device_used_bytes = 560 << 20;
  record.memory->device_library_bytes = 400 << 20;
  record.gpu.emplace();
  record.gpu->event_stages = record::Stages{0, 0, 1e-5, 3e-3, 2e-5, 0};
  record.gpu->busy_share = 0.91;
  record.gpu->sm_mhz_median = 1605;
  record.gpu->temperature_c_max = 84;
  record.gpu->looks = 12;
  record.gpu->throttled_looks = 5;
  record.gpu->throttle_reasons = {"thermal slowdown"};
  const std::string text = as({record}, Format::md);
  EXPECT_THAT(text, HasSubstr("| 136 MB |"));
  EXPECT_THAT(text, HasSubstr("| 168 MB | 587 MB | 419 MB | - |"));
  EXPECT_THAT(text, HasSubstr("| 10.0 us | 3.00 ms | 20.0 us | 91.0 % | - | 1,610 MHz | - | - | "
                              "84.0 °C | - | - | thermal slowdown |"));
}

TEST(Report, EnergyIsPerThousandTextsAndUnknownWithoutBothSides) {
  std::vector<record::Record> records = {sample_record(Precision::fp32, 1, Mode::stream, 0.1),
                                         sample_record(Precision::fp32, 1, Mode::stream, 0.01)};
  EXPECT_THAT(as(records, Format::md), Not(HasSubstr("Energy for 1,000 texts")));
  records[0].energy = {120.0, 60.0, {}, {}, 30, 500, "RAPL"};
  records[1].cell.device = Device{{0}};
  records[1].energy = {{}, {}, 400.0, 300.0, 30, 2000, "host not available: no counter; NVML"};
  const std::string text = as(records, Format::md);
  EXPECT_THAT(text, HasSubstr("| cpu | stream | 240 J | - | 240 J | 120 J | 30.0 s |"));
  EXPECT_THAT(text, HasSubstr("| cuda:0 | stream | - | 200 J | - | - | 30.0 s |"));
  EXPECT_THAT(text, HasSubstr("Energy: RAPL; host not available: no counter; NVML."));
}

TEST(Report, AnInstructionSetThatWasForcedIsNamed) {
  record::Record record = sample_record(Precision::int8, 1, Mode::serial, 0.02);
  const std::string machine = "Example CPU 9000, 2 CPUs, avx512_core_amx";
  record.instruction_set = record.machine.instruction_set;
  EXPECT_THAT(as({record}, Format::table), HasSubstr(machine + "\n"));
  record::Record other = record;
  other.instruction_set = "avx2_vnni";
  record.instruction_set = "avx2";
  EXPECT_THAT(as({record}, Format::table), HasSubstr(machine + ", native ran on avx2\n"));
  for (const auto& both : {std::vector{record, other}, std::vector{other, record}}) {
    EXPECT_THAT(as(both, Format::table), HasSubstr(machine + ", native ran on avx2 and avx2_vnni"));
  }
  record.cell.runtime.name = "onnxruntime";  // which has names of its own
  EXPECT_THAT(as({record}, Format::table), HasSubstr(machine + "\n"));
}

TEST(Report, TheFirstScreenLeavesTheTablesToAll) {
  const std::string text = render(sample_run_of_runtimes(), {}).value_or("");
  EXPECT_THAT(text, HasSubstr("How sure"));
  EXPECT_THAT(text, HasSubstr("--all"));
  for (const char* left_out : {"where a batch's time goes", "Outputs against", "Memory, each",
                               "How to read this", "Warnings", "ran with", "Verdict"}) {
    EXPECT_THAT(text, Not(HasSubstr(left_out)));
    if (left_out != std::string("Memory, each")) {
      EXPECT_THAT(as(sample_run_of_runtimes(), Format::table), HasSubstr(left_out));
    }
  }
}

TEST(Report, ARatioIsOfReviewsASecondAndOfComputeAlone) {
  std::vector<record::Record> records = {sample_record(Precision::fp32, 1, Mode::serial, 0.1),
                                         sample_record(Precision::fp32, 1, Mode::serial, 0.3)};
  records[1].cell.runtime.name = "pytorch";
  records[1].stages->compute_s = 0.2;
  const std::string text = as(records, Format::md);
  EXPECT_THAT(text, HasSubstr("3.00x [2.96, 3.04]"));
  EXPECT_THAT(text, HasSubstr("2.00x"));  // 0.2 s against 0.0999 s
  EXPECT_THAT(
      text,
      HasSubstr("Closest other runtime: native cpu fp32, batch 1, serial over pytorch cpu fp32, "
                "batch 1, serial: 3.00x"));
  // Without a whole pass the texts differ, and a ratio would say nothing.
  records[1].passes = 0;
  EXPECT_THAT(as(records, Format::md), Not(HasSubstr("3.00x [2.96, 3.04]")));
  records[1].passes = 5;
  // A row of another precision has nothing beside it.
  records[1].cell.precision = Precision::bf16;
  EXPECT_THAT(as(records, Format::md), Not(HasSubstr("how many times faster")));
}

TEST(Report, FitsAHundredColumnsWhateverVaries) {
  std::vector<record::Record> records = sample_run();
  for (std::size_t i = 0; i < records.size(); ++i) {
    record::Record& record = records[i];
    if (record.cell.mode == Mode::serial) {
      record.latency_s["p99"] = {1.23456, {}, 700};
      record.latency_s["p99.9"] = {2.3456, {}, 7000};
    }
    record.cell.threads = i % 3 == 0 ? 1 : 112;
    record.cell.padding = i % 4 == 0 ? Padding::max_length : Padding::none;
    record.cell.max_length = i % 5 == 0 ? 128 : 512;
    record.cell.device = i % 2 == 0 ? Device{} : Device{{0}};
    record.reasons = {{"foreign-cpu", "other processes used CPU time", 0.2, 0.03}};
  }
  const std::string text = as(records, Format::table);
  EXPECT_LE(widest_line(text), 100U) << text;
  EXPECT_THAT(text, HasSubstr("left out for width"));
}

TEST(Report, NoNumberIsShownAsZero) {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records) {
    if (record.stages) record.stages->decode_s = 3e-9;
  }
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, Not(HasSubstr(" 0.00 ")));
  EXPECT_THAT(text, HasSubstr("3.00 ns"));
}

TEST(Report, ColourOnlyWhenAsked) {
  EXPECT_THAT(as(sample_run(), Format::table), Not(HasSubstr("\x1b[")));
  const std::string coloured = as(sample_run(), Format::table, true);
  EXPECT_THAT(coloured, HasSubstr("\x1b[33munproven\x1b[0m"));
}

TEST(Report, SerialAndStreamAreInDifferentTables) {
  const std::string text = as(sample_run(), Format::table);
  const auto serial = text.find("Serial: latency");
  const auto stream = text.find("Stream: throughput");
  ASSERT_NE(serial, std::string::npos);
  ASSERT_NE(stream, std::string::npos);
  EXPECT_LT(serial, stream);
}

TEST(Report, APercentileThatTheSamplesDoNotCarryIsADash) {
  std::vector<record::Record> records = {sample_record(Precision::fp32, 1, Mode::serial, 0.1)};
  records[0].latency_s.clear();
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, HasSubstr("'-': too few samples"));
  EXPECT_THAT(text, Not(HasSubstr("One review at a time")));
}

TEST(Report, ARowThatBreaksParityIsShownAndLeftOutOfTheVerdict) {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records) {
    if (record.cell.precision != Precision::int8) continue;
    record.parity->outcome = record::Agreement::failed;
    record.parity->flips = 9;
    record.reasons = {{"parity", "9 of 128 labels differ", 2, 0, record::Severity::invalid}};
  }
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, HasSubstr("INVALID parity"));
  EXPECT_THAT(text, HasSubstr("9 of 128"));
  EXPECT_THAT(text, HasSubstr("4 rows left out because the outputs break parity"));
  EXPECT_THAT(text, HasSubstr("Highest throughput: cpu bf16, batch 32"));
  EXPECT_THAT(text, Not(HasSubstr("throughput: cpu int8")));
}

TEST(Report, WarningsNameTheirRowsAndAdvice) {
  std::vector<record::Record> records = sample_run();
  records[3].reasons = {{"steal", "the hypervisor took 4 % of the CPU time", 0.04, 0.01}};
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, HasSubstr("steal (cpu bf16, batch 1 stream): the hypervisor took"));
  EXPECT_THAT(text, HasSubstr("repeat later"));
}

TEST(Report, MixedMachinesAreToldApartAndWarnedOf) {
  std::vector<record::Record> records = sample_run();
  for (std::size_t i = 0; i < 6; ++i) {
    records[i].machine.cpu_model = "Other CPU 1";
    records[i].machine.hostname_hash = "bb";
  }
  const std::string text = as(records, Format::table);
  EXPECT_THAT(text, HasSubstr("machine A: Other CPU 1"));
  EXPECT_THAT(text, HasSubstr("machine B: Example CPU 9000"));
  EXPECT_THAT(text, HasSubstr("different machines"));
}

TEST(Report, TwoMachinesOfOneKindAreTwoMachines) {
  std::vector<record::Record> records = sample_run();
  for (std::size_t i = 0; i < 6; ++i) records[i].machine.hostname_hash = "bb";
  EXPECT_THAT(as(records, Format::table), HasSubstr("different machines"));
}

TEST(Report, DifferentTextsAreWarnedOf) {
  std::vector<record::Record> records = sample_run();
  records[0].texts.hash = "other";
  EXPECT_THAT(as(records, Format::table), HasSubstr("different texts"));
}

TEST(Report, ComparesDevicesAtTheSameAndAtTheBestPrecision) {
  std::vector<record::Record> records = sample_run();
  for (const Precision precision : {Precision::fp32, Precision::fp16}) {
    record::Record gpu =
        sample_record(precision, 32, Mode::stream, precision == Precision::fp32 ? 0.002 : 0.001);
    gpu.cell.device = Device{{0}};
    gpu.gpu = record::Gpu{};
    gpu.gpu->name = "Example GPU";
    gpu.machine.more.clear();
    records.push_back(gpu);
  }
  const std::string text = as(records, Format::md);
  EXPECT_THAT(text,
              HasSubstr("Same precision (fp32), GPU over CPU in reviews/s: batch 32 stream 42.4x"));
  EXPECT_THAT(
      text, HasSubstr("Throughput, each at its best: cuda:0 fp16, batch 32, stream over cpu int8, "
                      "batch 32, stream: "));
  EXPECT_THAT(text, Not(HasSubstr("No GPU was measured")));
}

TEST(Report, IntervalsThatOverlapAreNotTold) {
  std::vector<record::Record> records = {sample_record(Precision::fp32, 1, Mode::stream, 0.1),
                                         sample_record(Precision::bf16, 1, Mode::stream, 0.0995)};
  EXPECT_THAT(as(records, Format::md), HasSubstr("1.01x [0.991, 1.02], which cannot be told"));
}

TEST(Report, PaddingWasteIsShown) {
  std::vector<record::Record> records = {sample_record(Precision::fp32, 32, Mode::stream, 0.1)};
  records[0].cell.padding = Padding::max_length;
  records[0].texts.computed_tokens = 66'000;
  EXPECT_THAT(as(records, Format::md), HasSubstr("50.0 % of the computed tokens are padding"));
}

TEST(Report, JsonLinesReadBack) {
  const std::string text = as(sample_run(), Format::jsonl);
  std::istringstream lines(text);
  std::vector<record::Record> read;
  for (std::string line; std::getline(lines, line);) {
    const auto record = record::parse_record(line);
    ASSERT_TRUE(record) << record.error().message;
    read.push_back(*record);
  }
  EXPECT_EQ(read, sample_run());
}

TEST(Report, UnknownFormatIsRefusedByName) {
  const auto format = parse_format("pdf");
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().code, "format/unknown");
  EXPECT_THAT(format.error().message, HasSubstr("pdf"));
}

TEST(Report, NoRecordsIsSaid) {
  EXPECT_EQ(as({}, Format::table), "No records.\n");
}

TEST(Format, IntervalsShareTheUnitOfTheirValue) {
  EXPECT_EQ(seconds_with_interval({0.112, record::Interval{0.11, 0.115}, 0}), "112 ms [110, 115]");
  EXPECT_EQ(seconds_with_interval({0.9995, record::Interval{0.9, 1.1}, 0}),
            "1,000 ms [900, 1,100]");
  EXPECT_EQ(seconds_with_interval({150, record::Interval{120, 180}, 0}), "2.50 min [2.00, 3.00]");
  EXPECT_EQ(seconds_with_interval({0.0000012, {}, 0}), "1.20 us");
}

TEST(Table, GivesUpTheLeastImportantColumnsFirst) {
  Table table({{"a", true, 0}, {"bbbb", false, 2}, {"cccc", false, 1}});
  table.add_row({{"x", {}}, {"1", {}}, {"2", {}}});
  std::vector<std::string> left_out;
  EXPECT_EQ(table.to_text(13, false, &left_out), "a  bbbb  cccc\nx     1     2\n");
  EXPECT_TRUE(left_out.empty());
  EXPECT_EQ(table.to_text(12, false, &left_out), "a  cccc\nx     2\n");
  EXPECT_EQ(left_out, std::vector<std::string>{"bbbb"});
}

TEST(Table, MarkdownEscapesBars) {
  Table table({{"max |d|", false, 0}});
  table.add_row({{"1|2", {}}});
  EXPECT_EQ(table.to_markdown(), "| max \\|d\\| |\n| ---: |\n| 1\\|2 |\n");
}

TEST(Wrap, BreaksAtSpacesAndIndents) {
  EXPECT_EQ(wrap("- one two three", 9, 2), "- one two\n  three");
  EXPECT_EQ(wrap("averyveryverylongword x", 5, 0), "averyveryverylongword\nx");
  EXPECT_EQ(display_width("\xC2\xB1 1"), 3U);
}

}  // namespace
}  // namespace breakeven::report
