# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: where the checkout is, how they speak, and
# how a setting is found. Sourced, never run. Written for bash 3.2, which is what
# macOS still ships.

project=warp-skeleton
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# rustup puts cargo here but only new login shells know it. Services and containers may have no HOME.
cargo_bin=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
case ":$PATH:" in
*":$cargo_bin:"*) ;;
*) [ ! -x "$cargo_bin/cargo" ] || PATH="$PATH:$cargo_bin" ;;
esac

# Chatter goes to standard error, so that standard output is always an answer.
say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
  say "$@"
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# A key's value in a file of KEY=value lines, read the way the service reads .env: the
# last line counts, `export` and quotes are allowed, else a comment ends the value.
value_in() {
  [ -r "$2" ] || return 0
  sed -n "s/^[[:space:]]*\(export[[:space:]][[:space:]]*\)\{0,1\}${1}[[:space:]]*=[[:space:]]*//p" "$2" |
    tail -n 1 |
    sed -e "s/^'\([^']*\)'.*/\1/" -e t -e 's/^"\([^"]*\)".*/\1/' -e t \
      -e 's/^#.*//' -e 's/[[:space:]]#.*//' -e 's/[[:space:]]*$//'
}

# A setting as the service will see it: the environment first, then .env, then the file
# named by CONFIG_FILE; an empty value counts as none, and a secret may be in a file.
setting() {
  local value file
  value=${!1-}
  [ -n "$value" ] || value=$(value_in "$1" "$root/.env")
  case $1 in CONFIG_FILE | *_FILE) ;; *)
    file=$(setting CONFIG_FILE)
    [ -n "$value" ] || [ -z "$file" ] || value=$(value_in "$1" "$file")
    file=$(setting "$1_FILE")
    [ -n "$value" ] || [ -z "$file" ] || value=$(cat "$file")
    ;;
  esac
  printf '%s' "$value"
}

# Whether a file begins with this line of ours, under whichever name: the project may have
# been given another one since.
marked() {
  case $(head -n 1 "$1") in
  "${2%%"$project"*}"*"${2##*"$project"}") ;;
  *) return 1 ;;
  esac
}

random_hex() {
  if has openssl; then
    openssl rand -hex "$1"
  else
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
  fi
}

# Whether something listens on this port of the loopback address.
port_taken() { (exec 7<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether as_root would work: directly, or through sudo, which may ask on a terminal.
can_be_root() {
  [ "$(id -u)" = 0 ] || { has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
