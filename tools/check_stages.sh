# shellcheck shell=bash
# What gpu_check and cpu_check share: a pack is unpacked, stages run one after the other within a budget of seconds, each is written
# down before the next begins, and what was not reached is named. Sourced, with `here` (the pack's folder) and `budget_s` set.
#
# Files in OUT, all flat: NAME.txt says a line a stage, NAME.log holds what they printed, records.jsonl every record.

: "${here:?the folder that pack_checks has filled}" "${budget_s:?the seconds that all stages have together}"
check=$(basename -- "$0")

die() {
  echo "$check: $1" >&2
  exit 2
}

# begin_check [--dry-run] [OUT]
begin_check() {
  dry=
  [ "${1:-}" != --dry-run ] || { dry=1; shift; }
  case "$#${1:-}" in
    0 | 1[!-]*) ;;
    *) die "usage: $check [--dry-run] [OUT]" ;;
  esac
  out=${1:-${check}_out}
  summary="$out/$check.txt"
  log="$out/$check.log"
  records="$out/records.jsonl"
  said="$here/unpacked/said" # a line from a stage for the summary
  spare_s=0                  # what earlier stages left over
  rows=()                    # the sweep that is under way, for the names of its rows
  unpack
  bin="$here/unpacked/bin"
  model=() texts=() # what was packed beside our own
  [ ! -d "$here/unpacked/model" ] || model=(--model "$here/unpacked/model")
  local file
  for file in "$here/unpacked/texts"/*; do
    [ ! -e "$file" ] || texts=(--texts "$file")
  done
  local missing
  missing=$(ldd "$bin"/* 2>/dev/null | awk '/not found/ { print $1 }' | sort -u | paste -sd' ')
  [ -z "$missing" ] || die "this machine lacks $missing"
  missing=$("$bin/breakeven" --version 2>&1 >/dev/null) || die "the programs do not start here: $missing"
  [ -n "$dry" ] || mkdir -p "$out" || die "$out cannot be made"
  export BREAKEVEN_MODELS="$here/unpacked/models" BREAKEVEN_RUNTIMES="$here/unpacked/runtimes" BREAKEVEN_KNOWN="$here/unpacked/known" \
    BREAKEVEN_JUDGE="$here/unpacked/judge"
}

# The archives beside this script into unpacked/, unless they are there already.
unpack() {
  local archive stamp
  stamp=$(cksum "$here"/*.tar.xz) || die "nothing is packed here; see tools/pack_checks"
  [ "$(cat "$here/unpacked/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  rm -rf "$here/unpacked"
  mkdir -p "$here/unpacked" || die "$here/unpacked cannot be made"
  for archive in "$here"/*.tar.xz; do
    if command -v xz >/dev/null; then
      tar -xJf "$archive" -C "$here/unpacked"
    else
      python3 -m tarfile -e "$archive" "$here/unpacked" && chmod +x "$here/unpacked/bin"/*
    fi || die "$archive cannot be unpacked: this takes xz, or python3 with lzma"
  done
  echo "$stamp" >"$here/unpacked/stamp"
}

# note NAME WHAT: the stage's only line of the summary, whatever earlier runs said of it.
note() {
  echo "== $1: $2"
  [ -z "$dry" ] || return 0
  local others
  others=$(grep -v "^$1: " "$summary" 2>/dev/null)
  { [ -z "$others" ] || echo "$others"; echo "$1: $2"; } >"$summary.new"
  mv "$summary.new" "$summary"
  sync "$out"/*
}

done_before() {
  grep -q "^$1: ok" "$summary" 2>/dev/null
}

# The rows of the sweep under way that are not in the journal.
missing_rows() {
  [ ${#rows[@]} -gt 0 ] || return 0
  local resume=() named
  [ ! -s "$records" ] || resume=(--resume "$records")
  named=$("${rows[@]}" "${resume[@]}" --dry-run 2>/dev/null |
    awk -F'  +' 'NF >= 9 && !/^runtime/ { printf "%s%s %s %s batch %s threads %s %s", n++ ? ", " : "", $1, $2, $3, $4, $5, $8 }')
  echo "${named:-rows that cannot be named}"
}

# stage NAME SECONDS COMMAND...: once, and not where `lacks` says what is not here. It has its seconds and what earlier stages left
# over, up to `at_most_s` where that is set, and never more than what is left of the budget. An interrupt comes first, so that a
# sweep ends well.
stage() {
  local name=$1 own_s=$2 begin=$SECONDS limit_s code used_s missing
  shift 2
  planned_s=$((${planned_s:-0} + own_s))
  if done_before "$name"; then
    echo "== $name: done before"
  elif [ -n "${lacks:-}" ]; then
    note "$name" "SKIPPED, $lacks"
  elif [ -n "$dry" ]; then
    echo "== $name, $own_s s: ${*/#"$here/unpacked/bin/"/}"
  fi
  if done_before "$name" || [ -n "$dry${lacks:-}" ]; then
    spare_s=$((spare_s + own_s))
    return
  fi
  limit_s=$((own_s + spare_s))
  [ -z "${at_most_s:-}" ] || [ "$limit_s" -le "$at_most_s" ] || limit_s=$at_most_s
  [ "$limit_s" -le $((budget_s - SECONDS)) ] || limit_s=$((budget_s - SECONDS))
  if [ "$limit_s" -lt 3 ]; then
    missing=$(missing_rows)
    note "$name" "NOT REACHED, the time was over${missing:+: $missing}"
    return
  fi
  echo "== $name"
  rm -f "$said"
  # timeout runs programs only: a function of these scripts goes through a shell that has inherited it.
  # shellcheck disable=SC2016
  { echo "== $name: $*"; timeout --signal=INT --kill-after=8 "$limit_s" bash -uo pipefail -c '"$@"' stage "$@"; } >>"$log" 2>&1
  code=$?
  used_s=$((SECONDS - begin))
  spare_s=$((spare_s + own_s - used_s))
  case $code in
    0) note "$name" "ok, $used_s s$(sed 's/^/, /' "$said" 2>/dev/null)" ;;
    3) note "$name" "ok, $used_s s, but it cannot tell (no row is valid and quiet enough)" ;;
    124 | 137)
      missing=$(missing_rows)
      note "$name" "CUT OFF after $used_s s${missing:+; not reached: $missing}"
      ;;
    *)
      note "$name" "FAILED ($code), $used_s s; the end of $log:"
      tail -n 15 "$log"
      ;;
  esac
}

# sweep NAME SECONDS FLAGS...: `breakeven run` into the one journal; one that was cut off goes on from there.
sweep() {
  local name=$1 own_s=$2 journal=--journal
  shift 2
  [ ! -s "$records" ] || journal=--resume
  rows=("$bin/breakeven" run "$@")
  stage "$name" "$own_s" "$bin/breakeven" run "$@" "$journal" "$records"
  rows=()
}

# 0: all is done; 1: something failed; 3: something was skipped, cut off or not reached.
end_check() {
  if [ -n "$dry" ]; then
    echo "== planned: ${planned_s:-0} s of $budget_s s"
    return 0
  fi
  echo "== summary of $out, $SECONDS s"
  cat "$summary"
  ! grep -q ': FAILED' "$summary" || return 1
  ! grep -Eq ': (SKIPPED|CUT OFF|NOT REACHED)' "$summary" || return 3
}
