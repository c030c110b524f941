# shellcheck shell=bash
# What ./run, ./test and .ci/run share: is this a system we support, are its packages there, is the build up to date?
# Sourced, with `root` set to the source tree. Talks on stderr only, and only when there is something to do.

: "${root:?the source tree, set by the caller}"

say() { printf '%s\n' "breakeven: $*" >&2; }
die() {
  say "$1"
  exit 2
}

# Linux x86-64 with Debian 12 or Ubuntu 22.04/24.04; anything else is refused by name, unless BREAKEVEN_ANY_SYSTEM is set.
check_system() {
  local kernel machine release=${BREAKEVEN_OS_RELEASE:-/etc/os-release} name=unknown
  kernel=$(uname -s)
  machine=$(uname -m)
  if [ "$kernel" = Linux ] && [ -r "$release" ]; then
    # shellcheck disable=SC1090
    name=$(. "$release" && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
  fi
  case "$kernel/$machine/$name" in
    "Linux/x86_64/debian 12" | "Linux/x86_64/ubuntu 22.04" | "Linux/x86_64/ubuntu 24.04") return ;;
  esac
  [ -z "${BREAKEVEN_ANY_SYSTEM:-}" ] || return 0
  local found="$kernel $machine"
  [ "$kernel" != Linux ] || found="$name on $found"
  die "this is $found; supported are Debian 12 and Ubuntu 22.04/24.04 on Linux x86_64.
  Set BREAKEVEN_ANY_SYSTEM=1 to try all the same, with the libraries of tools/packages.txt installed by you."
}

# Ubuntu is supported and has no package of Chromium (a snap): what needs it is installed on Debian only.
is_debian() {
  local release=${BREAKEVEN_OS_RELEASE:-/etc/os-release}
  # shellcheck disable=SC1090
  [ "$(. "$release" && printf '%s' "${ID:-}")" = debian ]
}

# missing_packages GROUP...: the names in tools/packages.txt that are not installed, on one line.
missing_packages() {
  local wanted installed name missing=()
  wanted=$(awk -v groups=" $* " '!/^#/ && NF == 2 && index(groups, " " $1 " ") { print $2 }' "$root/tools/packages.txt")
  # dpkg-query fails when it has never heard of one of them, and still lists the others.
  # shellcheck disable=SC2086
  installed=$({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null || true; } |
    awk '$1 == "installed" { print $2 }')
  for name in $wanted; do
    grep -qxF -- "$name" <<<"$installed" || missing+=("$name")
  done
  printf '%s' "${missing[*]}"
}

# install_packages GROUP...: through apt as root or with a sudo that asks nothing; otherwise prints the line to run.
install_packages() {
  local missing log as_root=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    return 0 # only with BREAKEVEN_ANY_SYSTEM; CMake names what is missing
  fi
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
      die "these packages are missing; install them, then try again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
    fi
    as_root=(sudo -n)
  fi
  say "installing $missing"
  log=$(mktemp)
  # Fresh images carry no package lists, old ones carry stale lists: hence the update, which is only reached with work to do.
  # shellcheck disable=SC2086
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    die "apt could not install: $missing"
  fi
  rm -f "$log"
}

# shellcheck source=tools/cuda_toolkit.sh
. "$root/tools/cuda_toolkit.sh"

# build_release TARGET...: configures and builds build/release; its log is shown only when it fails.
build_release() {
  local folder="$root/build/release" log="$root/build/release/build.log" cache="$root/build/release/CMakeCache.txt"
  mkdir -p "$folder"
  exec 9>"$root/build/.lock"
  flock 9 # a second ./run in the same tree waits for the first one's build
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then
    rm -rf "$folder" # the tree was moved or copied; CMake refuses such a cache
    mkdir -p "$folder"
  fi
  find_cuda # each time: a driver may have been installed since
  local configure=(cmake -S "$root" -B "$folder" -G Ninja "-DBREAKEVEN_CUDA=$cuda_mode")
  [ -z "$cuda_nvcc" ] || configure+=("-DBREAKEVEN_NVCC=$cuda_nvcc")
  if [ ! -f "$cache" ]; then
    # The `release` preset, spelt out because Ubuntu 22.04's CMake cannot read our presets. A newer compiler than the one we
    # use may warn about more: that must not stop a user.
    local werror=OFF
    [ "$(c++ -dumpversion 2>/dev/null)" != 12 ] || werror=ON
    configure+=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "-DBREAKEVEN_WERROR=$werror")
    if command -v ccache >/dev/null; then
      configure+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    fi
  fi
  if ! "${configure[@]}" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$cache" # the next try starts afresh
    die "CMake could not configure the build (above)"
  fi
  if [ -n "$cuda_nvcc" ] && grep -qF 'CUDA: no engine' "$log"; then
    say "$(sed -n 's/^-- CUDA: no engine, /the GPU is left out: /p' "$log")"
  fi
  # Said when something is compiled or linked. Ninja's dry run would not know: build_info.h is looked at in every build.
  if ! ninja -C "$folder" -j "$(nproc)" "$@" 2>&1 | tee "$log" | awk '/^[[][0-9/]+[]] (Building|Linking) / && !said++ {
    print "breakeven: building (the first time takes a few minutes)"; fflush() }' >&2; then
    tail -n 150 "$log" >&2
    die "the build failed; the end of $log is above"
  fi
  exec 9>&-
}
