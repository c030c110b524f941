// Where pip puts what the engine opens as it runs: its own CUDA part, and NVIDIA's cublasLt.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace breakeven::ops::cuda {

// site-packages and the like: the one that this code lies in, if it came as a package, and those of
// $BREAKEVEN_SITE_PACKAGES (a list with colons), which Python's side fills from sys.path.
std::vector<std::filesystem::path> package_folders();

// Files that may be cublasLt of a major version, in the order in which they are tried. A name
// without a folder stands for a library that the process has loaded already (PyTorch's), else for
// the loader's own search. Then the wheels of NVIDIA and of PyTorch in `sites`, beside the program
// (../lib), CUDA_HOME, CUDA_PATH, `toolkit` (may be ""), /usr/local/cuda. BREAKEVEN_CUBLASLT names
// the one file that is tried instead.
std::vector<std::string> cublas_lt_files(int major, const std::string& toolkit,
                                         const std::vector<std::filesystem::path>& sites);

// What to type where none of them is there: "pip install 'nvidia-cublas>=13,<14'".
std::string cublas_lt_remedy(int major);

}  // namespace breakeven::ops::cuda
