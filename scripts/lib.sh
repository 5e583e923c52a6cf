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

# Settings, read the way the service reads them. It cannot be asked: these scripts run before
# it is built. tests/process/dotenv.rs holds the two against each other, byte for byte, and
# crates/chassis-settings/src/dotenv.rs says what a line of .env may be.

blank=$' \t'

# Sets `trimmed` to a text without the blanks it begins with.
trim() { trimmed=${1#"${1%%[!"$blank"]*}"}; }

# Sets `meaning` to what the right side of a line of .env means. Fails where the service does.
read_word() {
  local LC_ALL=C text c
  meaning=''
  trim "$1"
  text=$trimmed
  # A comment only behind a blank.
  case $text in '#'*)
    [ "$text" != "$1" ]
    return
    ;;
  esac
  while [ -n "$text" ]; do
    c=${text:0:1} text=${text:1}
    case $c in
    \')
      case $text in *\'*) ;; *) return 1 ;; esac
      meaning=$meaning${text%%\'*} text=${text#*\'}
      ;;
    \") read_double_quoted || return 1 ;;
    \\)
      case $text in '' | [A-Za-z0-9]*) return 1 ;; esac
      meaning=$meaning${text:0:1} text=${text:1}
      ;;
    '$' | '`') return 1 ;;
    [$blank])
      trim "$text"
      case $trimmed in '' | '#'*) return 0 ;; *) return 1 ;; esac
      ;;
    *) meaning=$meaning$c ;;
    esac
  done
}

# Goes on with `text` and `meaning` of read_word behind a double quote.
read_double_quoted() {
  while [ -n "$text" ]; do
    c=${text:0:1} text=${text:1}
    case $c in
    \") return 0 ;;
    '$' | '`') return 1 ;;
    \\)
      c=${text:0:1} text=${text:1}
      case $c in \" | \\ | '$' | '`') ;; n) c=$'\n' ;; *) return 1 ;; esac
      ;;
    esac
    meaning=$meaning$c
  done
  return 1
}

# The same for a line of the TOML file, as far as a setting that these scripts need goes over
# one line: a string, a number or a switch.
read_toml_value() {
  local LC_ALL=C text c
  meaning=''
  trim "$1"
  text=$trimmed
  case $text in
  \'\'\'* | \"\"\"*) return 1 ;;
  \'*\'*)
    text=${text#\'}
    meaning=${text%%\'*} text=${text#*\'}
    ;;
  \"*)
    text=${text#\"}
    while :; do
      [ -n "$text" ] || return 1
      c=${text:0:1} text=${text:1}
      case $c in
      \") break ;;
      \\)
        c=${text:0:1} text=${text:1}
        case $c in \" | \\) ;; n) c=$'\n' ;; t) c=$'\t' ;; *) return 1 ;; esac
        ;;
      esac
      meaning=$meaning$c
    done
    ;;
  *)
    meaning=${text%%[!0-9A-Za-z._+-]*}
    text=${text#"$meaning"}
    # Other numbers are written in more than one way: the service may see 31 where 0x1F stands.
    case $meaning in true | false) ;; '' | *[!0-9_]*) return 1 ;; esac
    meaning=${meaning//_/}
    ;;
  esac
  trim "$text"
  case $trimmed in '' | '#'*) ;; *) return 1 ;; esac
}

# A key's value in a file; the last line of the key counts. The third argument is the function
# that understands values.
value_in() {
  local key=$1 file=$2 read=${3-read_word} line number=0 found='' meaning trimmed
  [ -e "$file" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    [ "$number" != 1 ] || line=${line#$'\xef\xbb\xbf'}
    trim "${line%$'\r'}"
    case $trimmed in export[$blank]*) trim "${trimmed#export}" ;; esac
    case $trimmed in "$key"*) trim "${trimmed#"$key"}" ;; *) continue ;; esac
    case $trimmed in =*) ;; *) continue ;; esac
    "$read" "${trimmed#=}" ||
      die "$key in line $number of $file cannot be read: put the value into 'single quotes', and '\\'' for one in it"
    found=$meaning
  done <"$file"
  case $found in *$'\n') die "$key in $file ends with a line break, which these scripts would lose" ;; esac
  printf '%s' "$found"
}

# A key's value in one of the places where settings are.
value_from() {
  local file
  case $1 in
  environment) printf '%s' "${!2-}" ;;
  dotenv) value_in "$2" "$root/.env" ;;
  toml)
    file=$(setting CONFIG_FILE) || exit 1
    [ -z "$file" ] || value_in "$2" "$file" read_toml_value
    ;;
  esac
}

# A setting as the service will see it: the environment first, then .env, then the file
# named by CONFIG_FILE; an empty value counts as none, and a secret may be in a file.
setting() {
  local value='' file place
  for place in environment dotenv toml; do
    [ "$1/$place" != CONFIG_FILE/toml ] || break
    value=$(value_from "$place" "$1") || exit 1
    [ -z "$value" ] || break
    case $1 in DB_PASSWORD | JWT_SECRET_KEY | *DATABASE_URL) ;; *) continue ;; esac
    file=$(value_from "$place" "$1_FILE") || exit 1
    [ -n "$file" ] || continue
    value=$(secret_in "$file" "$1_FILE") || exit 1
    break
  done
  printf '%s' "$value"
}

# What the file of a secret holds, without the line break at its end.
secret_in() {
  local value
  value=$(cat "$1" && echo .) || die "$2 names $1, which cannot be read"
  value=${value%.}
  value=${value%$'\n'} value=${value%$'\r'}
  [ -n "$value" ] || die "$2 names $1, which is empty"
  case $value in *$'\n') die "$1 ends with two line breaks, which these scripts would lose" ;; esac
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

# One process at a time has the lock of this script. It is on the script's own file, so that none
# is left lying about, and ends with the process that holds it. macOS has no flock(1), but perl.
lock() {
  exec 9<"$root/scripts/$1"
  if has flock; then
    flock 9
  else
    perl -e 'use Fcntl ":flock"; open(my $f, "<&=", 9) or die; flock($f, LOCK_EX) or die'
  fi
}

random_hex() {
  if has openssl; then
    openssl rand -hex "$1"
  else
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
  fi
}

# Text as it has to be written in what sed puts in place of a match, between bars.
quote_for_sed() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }

# Of a file, or of standard input where this is -.
sha256_of() {
  local sum
  if has sha256sum; then sum=$(sha256sum "$1") || return; else sum=$(shasum -a 256 "$1") || return; fi
  # GNU's begins with a backslash where the name has one.
  sum=${sum#\\}
  printf '%s\n' "${sum%% *}"
}

# Whether something listens on this port of the loopback address.
port_taken() { (exec 7<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether as_root would work without asking: directly, or through sudo.
may_be_root() { [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# What a process was started as.
command_line() {
  if [ -r "/proc/$1/cmdline" ]; then
    tr '\0' ' ' <"/proc/$1/cmdline"
  else
    ps -ww -p "$1" -o args= 2>/dev/null
  fi
}
