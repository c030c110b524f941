// What the stand-in for NVML tells of a GPU; filled by a test through fake_nvml_describe() and
// fake_nvml_describe_second().
#pragma once

struct FakeGpu {
  unsigned sm_mhz_limit = 1980, sm_mhz = 1980, memory_mhz = 2619, celsius = 55;
  unsigned milliwatts = 400'000, limit_milliwatts = 700'000, utilisation_percent = 80;
  unsigned long long total_bytes = 80'000, used_bytes = 1'000, throttle_reasons = 0;
  unsigned processes = 0, first_pid = 1;  // numbered from first_pid on
  unsigned long long process_bytes = 0;   // of each
};
