// Runtimes whose worker is fake_worker.py; the name of one says how it misbehaves.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "runtimes/pool.h"
#include "testing/paths.h"

namespace breakeven::runtimes {

class FakeRuntimes : public ::testing::Test {
 protected:
  FakeRuntimes() {
    options_.scripts = folder_.path().string();
    options_.limits = {3600, 3600, 3600, 3600};  // ends a hang, judges no speed
    put_memory(100, 100);
    options_.root = folder_.path().string();
  }

  // A runtime of this name, with fake_worker.py's mode of the same name.
  std::string fake(const std::string& name) {
    const auto link = folder_ / (name + ".py");
    if (!std::filesystem::exists(link)) {
      std::filesystem::create_symlink(testing::source_dir() / "tests/runtimes/fake_worker.py",
                                      link);
    }
    options_.interpreters[name] = "python3";
    return name;
  }

  WorkerSpec spec_of(const std::string& name) {
    WorkerSpec spec;
    spec.runtime.name = fake(name);
    spec.padding = Padding::longest;
    spec.model_folder = "/models/some";
    spec.threads = 2;
    spec.batch = 32;
    return spec;
  }

  // The pool is made at the first of these: it knows the runtimes that were named by then.
  Result<Capabilities> capabilities(const std::string& runtime) {
    return pool().capabilities(runtime);
  }
  Result<std::unique_ptr<Classifier>> make(const WorkerSpec& spec) { return pool().make(spec); }
  Result<FreshWorker> measure_fresh(const WorkerSpec& spec, const std::vector<Text>& texts,
                                    bool stream) {
    return pool().measure_fresh(spec, texts, stream);
  }

  void put_memory(unsigned total_gb, unsigned available_gb) const {
    std::filesystem::create_directories(folder_ / "proc");
    std::ofstream(folder_ / "proc/meminfo")
        << "MemTotal: " << total_gb * 1000000 << " kB\n"
        << "MemAvailable: " << available_gb * 1000000 << " kB\n";
  }

  Pool& pool() {
    if (pool_ == nullptr) pool_ = std::make_unique<Pool>(options_);
    return *pool_;
  }

  testing::TempDir folder_;
  PoolOptions options_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace breakeven::runtimes
