// Which algorithm of the matrix library serves which product best on one kind of device, as
// measured once and kept on disk. No device here: what was measured comes in, what to do goes out.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/cuda/gemm_call.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

// By key_of(call).
using GemmChoices = std::map<std::string, GemmAlgorithm>;

// What choices belong to: devices of one name, library and driver share them, whatever their UUIDs.
std::string identity_of(const DeviceInfo& device);

// The fastest of the candidates by the median of its times in seconds; an empty list of times is a
// candidate that failed. The library's best guess, which stands first, keeps its place unless
// another one is at least 2 % faster: less is noise. Nothing (SIZE_MAX) when all failed.
std::size_t fastest(std::span<const std::vector<double>> seconds);

// A text file: a line for the format, one for the identity, one for each choice, and a checksum.
std::string write_choices(const GemmChoices& choices, const std::string& identity);
// Errors: gemm/choices (damaged, of another format or identity), with what is wrong.
Result<GemmChoices> read_choices(std::string_view text, const std::string& identity);

// The file of an identity in a folder.
std::string choices_file(const std::string& folder, const std::string& identity);
// Errors: those of read_choices and of files; a file that is not there has no choices.
Result<GemmChoices> load_choices(const std::string& file, const std::string& identity);
// Adds to what the file holds by now, under a lock, and replaces it by renaming: processes that do
// so at the same time lose nothing, and a reader never sees half a file. What is damaged is
// replaced. Errors: file/unwritable.
Result<void> add_choices(const std::string& file, const std::string& identity,
                         const GemmChoices& choices);

}  // namespace breakeven::ops::cuda
