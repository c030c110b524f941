# shellcheck shell=bash
# A bare Debian 12 in a folder: what a new user's machine has on its first day. Sourced by .ci/run, with `root` set to the source tree.
#
# The packages come from where this machine gets its own (apt's configuration is read, nothing is written down here), as do its
# name servers and certificates. Mounts live in a namespace that ends with the command, so removing the folder removes only the folder.

: "${root:?the source tree, set by the caller}"
bare=$root/build/bare_root
longest_s=3600 # of one command in it: what hangs is named by its check, and the others still run

# What keeps this machine from making one; empty when nothing does.
why_no_bare_root() {
  if [ "$(id -u)" -ne 0 ]; then
    echo "it takes root"
  elif ! command -v debootstrap >/dev/null; then
    echo "debootstrap is not installed"
  elif ! unshare --mount true 2>/dev/null; then
    echo "this machine allows no mounts (unshare --mount)"
  fi
}

# make_bare_root: Debian's smallest variant with certificates, a user `guest` without sudo, and a clone of this tree in /home/guest/breakeven.
make_bare_root() {
  local sources mirror
  # shellcheck disable=SC2016
  sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    grep ' bookworm[a-z-]* main$' | sort -u)
  mirror=$(awk '$3 == "bookworm" { print $2; exit }' <<<"$sources")
  [ -n "$mirror" ] || { echo "apt's sources name no mirror of Debian 12"; return 1; }
  remove_bare_root
  mkdir -p "$bare"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$bare" "$mirror" >"$bare.log" 2>&1 || { tail -n 20 "$bare.log"; return 1; }
  printf '%s\n' "$sources" >"$bare/etc/apt/sources.list"
  apt-config dump Acquire >"$bare/etc/apt/apt.conf.d/00machine"
  cp -L /etc/resolv.conf /etc/hosts "$bare/etc/"
  cp /usr/local/share/ca-certificates/*.crt "$bare/usr/local/share/ca-certificates/" 2>/dev/null
  in_bare_root update-ca-certificates >/dev/null 2>&1
  in_bare_root useradd --create-home guest || return 1
  git clone --quiet --no-hardlinks "$root" "$bare/home/guest/breakeven" || return 1
  # Data that does not ship lies beside the tree, where the tests look for it; without it they skip and say so.
  [ ! -d "$root/../shared" ] || { mkdir "$bare/home/guest/shared" && cp -r "$root/../shared/data" "$root/../shared/models" "$bare/home/guest/shared/"; }
  [ -z "$(git -C "$root" status --porcelain)" ] || echo "changes that are not committed are not in the bare root"
}

remove_bare_root() {
  rm -rf --one-file-system "$bare" "$bare.log"
}

# in_bare_root COMMAND...: as root, or as $user, in the clone once there is one, with nothing of this session but the way to the network.
in_bare_root() {
  local name passed=()
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_CERT PIP_DEFAULT_TIMEOUT SSL_CERT_FILE CI \
    BREAKEVEN_CI_OFFLINE BREAKEVEN_REQUIRE_WHEEL BREAKEVEN_ISA CCACHE_DIR CCACHE_BASEDIR CCACHE_NOHASHDIR; do
    [ -z "${!name:-}" ] || passed+=("$name=${!name}")
  done
  # shellcheck disable=SC2016
  timeout --kill-after=10 "$longest_s" unshare --mount bash -c '
    bare=$1 user=$2 ccache=$3
    shift 3
    for folder in proc sys dev; do mount --rbind "/$folder" "$bare/$folder" || exit 1; done
    [ -z "$ccache" ] || { mkdir -p "$bare$ccache" && mount --bind "$ccache" "$bare$ccache"; } || exit 1
    home=/root
    [ "$user" = root ] || home=/home/$user
    exec chroot --userspec="$user" "$bare" env -i HOME="$home" LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      bash -c "cd /home/guest/breakeven 2>/dev/null || cd /; exec env \"\$@\"" in_bare_root "$@"
  ' in_bare_root "$bare" "${user:-root}" "${CCACHE_DIR:-}" "${passed[@]}" "$@" </dev/null
}
