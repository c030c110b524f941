# shellcheck shell=bash
# Which CUDA compiler a build takes. Sourced by setup.sh, which has `root`, say, die and install_packages.
# find_cuda sets cuda_mode (what CMake gets as BREAKEVEN_CUDA) and cuda_nvcc (a file, or nothing). The rules:
#
#   BREAKEVEN_CUDA | driver     | nvcc found                                   | taken
#   OFF            | any        | any                                          | nothing
#   unset          | none       | any                                          | nothing: what it compiles could not run here
#   unset          | 580 and up | of CUDA 12 or newer                          | that one
#   unset          | 580 and up | none                                         | PyPI's CUDA 13 wheels; CPU only if pip fails
#   unset          | 525 .. 579 | of CUDA 12                                   | that one, before a newer one that stands first
#   unset          | 525 .. 579 | none, or only of CUDA 13                     | nothing, with the reason
#   unset          | older      | any                                          | nothing, with the reason
#   unset          | unreadable | as with 580 and up                           |
#   ON             | any        | of CUDA 12 or newer, whatever the driver; otherwise the wheels; an error if pip fails
#   AUTO           | any        | of CUDA 12 or newer, whatever the driver; otherwise nothing

: "${root:?the source tree, set by the caller}"
cuda_mode=OFF
cuda_nvcc=
cuda_system=${BREAKEVEN_SYSTEM_ROOT:-} # where /proc, /dev and /usr/local are looked for; another place in tests only

has_driver() {
  [ -e "$cuda_system/proc/driver/nvidia" ] || [ -e "$cuda_system/dev/nvidiactl" ] ||
    ldconfig -p 2>/dev/null | grep -qF libcuda.so.1
}

# "580.65.06", or nothing: from the kernel module, else (WSL, some containers) from nvidia-smi.
driver_version() {
  local version=
  if [ -r "$cuda_system/proc/driver/nvidia/version" ]; then
    version=$(grep -m 1 -oE '[0-9]{3,}\.[0-9]+(\.[0-9]+)?' "$cuda_system/proc/driver/nvidia/version" | head -n 1) || true
  fi
  if [ -z "$version" ] && command -v nvidia-smi >/dev/null; then
    version=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null |
      grep -m 1 -oE '^[0-9]{3,}\.[0-9.]+') || true
  fi
  printf '%s' "$version"
}

# nvcc_release FILE: "13.0", or nothing when it is none.
nvcc_release() {
  { "$1" --version 2>/dev/null || true; } | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1
}

# All nvcc in the order in which they are taken, one a line. A name that two places share comes once.
nvcc_candidates() {
  local file
  for file in "${CUDACXX:-}" "$(command -v nvcc || true)" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" \
    "$cuda_system/usr/local/cuda/bin/nvcc"; do
    if [ -n "$file" ]; then command -v -- "$file" || true; fi
  done | awk '!seen[$0]++'
  # The newest first: a machine may hold several beside the one that /usr/local/cuda names.
  find "$cuda_system/usr/local" -maxdepth 1 -name 'cuda-*' 2>/dev/null | sort -Vr | while read -r file; do
    [ ! -x "$file/bin/nvcc" ] || echo "$file/bin/nvcc"
  done
}

# take_nvcc OLDEST NEWEST: the first nvcc with such a major version becomes cuda_nvcc. cuda_passed_over names those before it.
take_nvcc() {
  local file release
  cuda_passed_over=
  while read -r file; do
    release=$(nvcc_release "$file")
    [ -n "$release" ] || continue
    if [ "${release%%.*}" -ge "$1" ] && [ "${release%%.*}" -le "$2" ]; then
      cuda_nvcc=$file
      return 0
    fi
    cuda_passed_over+="${cuda_passed_over:+, }$file of CUDA $release"
  done < <(nvcc_candidates)
  return 1
}

# The folder of the wheels' toolkit; its name is that of the list, so that a new list is a new folder.
wheels_folder() {
  local list
  list=$(sha256sum "$root/tools/requirements-cuda.txt")
  printf '%s' "${XDG_CACHE_HOME:-$HOME/.cache}/breakeven/cuda-13-${list:0:12}"
}

# install_cuda_wheels: brings the compiler from PyPI and makes a toolkit of it that CMake accepts; sets cuda_nvcc. Fails with pip's
# log shown. The folder gets its name when it is complete: whoever is cut off, or runs beside another, leaves no half toolkit.
install_cuda_wheels() {
  local folder part log toolkit
  folder=$(wheels_folder)
  if [ ! -x "$folder/bin/nvcc" ]; then
    say "no nvcc of CUDA 12 or 13 here: bringing CUDA 13's compiler and cublasLt from PyPI into $folder
  (530 MB to load, 1 GB on disk, once; BREAKEVEN_CUDA=OFF does without the GPU)"
    mkdir -p "${folder%/*}"
    part=$(mktemp -d "$folder.part.XXXXXX")
    log="$part/pip.log"
    install_packages test # python3-venv, which brings pip
    if ! { python3 -m venv "$part/venv" &&
      "$part/venv/bin/python" -m pip install --no-deps --no-compile --only-binary :all: --require-hashes --target "$part/site" \
        -r "$root/tools/requirements-cuda.txt"; } >"$log" 2>&1 </dev/null; then
      cat "$log" >&2
      rm -rf "$part"
      return 1
    fi
    toolkit="$part/site/nvidia/cu13"
    # What the wheels leave out: the names that linkers and CMake look for.
    [ -e "$toolkit/lib64" ] || ln -s lib "$toolkit/lib64"
    [ -e "$toolkit/lib/libcudart.so" ] || ln -s libcudart.so.13 "$toolkit/lib/libcudart.so"
    [ -e "$toolkit/lib/libcublasLt.so" ] || ln -s libcublasLt.so.13 "$toolkit/lib/libcublasLt.so"
    mv -T "$toolkit" "$folder" 2>/dev/null || true # another one was faster: its toolkit is as good
    rm -rf "$part"
  fi
  cuda_nvcc="$folder/bin/nvcc"
  [ -x "$cuda_nvcc" ]
}

# find_cuda: the table above.
find_cuda() {
  local driver major without="the GPU is left out, and this build measures the CPU only"
  cuda_mode=${BREAKEVEN_CUDA:-}
  cuda_nvcc=
  case "$cuda_mode" in
    OFF) return ;;
    '') ;;
    AUTO)
      take_nvcc 12 99 || true
      return
      ;;
    *)
      take_nvcc 12 99 || install_cuda_wheels || die "pip could not install tools/requirements-cuda.txt (above), and BREAKEVEN_CUDA=$cuda_mode"
      return
      ;;
  esac
  cuda_mode=OFF
  has_driver || return 0
  driver=$(driver_version)
  major=${driver%%.*}
  if [ -z "$driver" ] || [ "$major" -ge 580 ]; then
    if take_nvcc 12 99 || install_cuda_wheels; then
      cuda_mode=AUTO
    else
      say "pip could not install the CUDA compiler (above): $without.
  Put an nvcc of CUDA 12 or 13 on PATH, or try again with a network."
    fi
  elif [ "$major" -ge 525 ] && take_nvcc 12 12; then
    cuda_mode=AUTO
  elif [ "$major" -ge 525 ]; then
    say "the NVIDIA driver is $driver; CUDA 13 needs 580 or newer, and no CUDA 12 toolkit was found${cuda_passed_over:+ (passed over: $cuda_passed_over)}:
  $without. Update the driver, or install a CUDA 12 toolkit (PyPI has none) and try again."
  else
    say "the NVIDIA driver is $driver; CUDA 12 needs 525 or newer, CUDA 13 needs 580:
  $without. Update the driver and try again."
  fi
}
