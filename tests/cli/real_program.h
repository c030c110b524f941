// The program as a user runs it, in a folder of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "testing/paths.h"
#include "testing/program.h"

namespace breakeven::testing {

class RealProgram : public ::testing::Test {
 protected:
  // Runs it in folder_ without a GPU, a cache and a colour.
  Ended run(const std::string& arguments) {
    const std::string folder = folder_.path().string();
    const std::string command = "cd '" + folder +
                                "' || exit 99; export CUDA_VISIBLE_DEVICES= " + "HF_HOME='" +
                                folder + "/hf' XDG_CACHE_HOME='" + folder + "/cache' TMPDIR='" +
                                folder + "'; '" BREAKEVEN_BINARY "' " + arguments;
    return run_shell(command, (folder_ / "stderr").string());
  }

  void expect_refused(const std::string& arguments, const std::string& value) {
    const Ended ended = run(arguments);
    EXPECT_EQ(ended.code, 2) << arguments << "\n" << ended.out << ended.err;
    EXPECT_THAT(ended.err, ::testing::HasSubstr(value)) << arguments;
    EXPECT_EQ(ended.out, "") << arguments;
  }

  TempDir folder_;
};

}  // namespace breakeven::testing
