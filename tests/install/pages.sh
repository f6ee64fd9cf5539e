#!/bin/sh
# pages.sh options|man|bash|zsh|fish: the manual page and the completions have the options of --help, and man and the
# shells accept them. $RESR: the program; $DOCS: folder of the pages.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/resr-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

require() {
    command -v "$1" >/dev/null || {
        echo "skipped: $1 is not installed"
        exit 77
    }
}

# Sorted "--name" of each option, one a line.
names_of() {
    case $1 in
    help) "$RESR" --help | sed -nE 's/^  (-., |    )--([a-z-]+).*/\2/p' ;;
    man) sed -nE 's/^(\\fB\\-.\\fR, )?\\fB\\-\\-([a-z\\-]+)\\fR.*/\2/p' "$DOCS/realesrgan-mpi.1" | tr -d '\\' ;;
    bash) sed -nE 's/.*compgen -W "(-i --input [^"]*)".*/\1/p' "$DOCS/realesrgan-mpi.bash" | tr ' ' '\n' |
        sed -n 's/^--//p' ;;
    zsh) sed -nE 's/^    "(\(-. |)--([a-z-]+).*/\2/p' "$DOCS/_realesrgan-mpi" ;;
    fish) sed -nE 's/^complete .* -l ([a-z-]+).*/\1/p' "$DOCS/realesrgan-mpi.fish" ;;
    esac | sort
}

case $1 in
options)
    names_of help >"$work/help"
    [ "$(wc -l <"$work/help")" -ge 48 ] || fail "--help lists $(wc -l <"$work/help") options"
    for page in man bash zsh fish; do
        names_of $page >"$work/$page"
        diff "$work/help" "$work/$page" || fail "--help (<) and $page (>) have different options"
    done
    "$RESR" --help | awk 'length > 100 { print; bad = 1 } END { exit bad }' || fail "--help: lines over 100 columns"
    # The parser knows all of them; it reads all words before it judges a value.
    words=$("$RESR" --help | sed -nE 's/^  (-., |    )(--[a-z-]+) ([A-Z]+).*/\2=stray/p; t; s/^  (-., |    )(--[a-z-]+) .*/\2/p')
    # shellcheck disable=SC2086 # words
    "$RESR" $words >"$work/out" 2>&1 && fail "all options with the value 'stray' are accepted"
    grep -q "'stray' was given" "$work/out" || fail "$(cat "$work/out")"
    # shellcheck disable=SC2086
    "$RESR" $words --no-such >"$work/out" 2>&1 && fail "--no-such is accepted"
    grep -q -e "--no-such: unknown option" "$work/out" || fail "$(cat "$work/out")"
    ;;
man)
    require groff
    groff -man -ww -z "$DOCS/realesrgan-mpi.1" 2>"$work/warnings"
    [ ! -s "$work/warnings" ] || fail "groff: $(cat "$work/warnings")"
    groff -man -Tascii -P-cbou "$DOCS/realesrgan-mpi.1" >"$work/text"
    grep -q -e '--encoder-threads N' "$work/text" || fail "the formatted page has no --encoder-threads"
    ;;
bash)
    require bash
    # candidates WORD...: of the last word.
    cat >"$work/candidates" <<'END'
. "$DOCS/realesrgan-mpi.bash"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p realesrgan-mpi | sed -E 's/.*-F ([^ ]+).*/\1/')
printf '%s\n' "${COMPREPLY[@]}"
END
    complete_to() {
        expected=$1
        shift
        got=$(cd "$work" && bash "$work/candidates" realesrgan-mpi "$@" | LC_ALL=C sort | paste -s -d ' ' -)
        [ "$got" = "$expected" ] || fail "bash: $*: '$got', expected '$expected'"
    }
    touch "$work/a clip.mkv"
    mkdir "$work/a folder"
    complete_to "auto ranks root" -i x --encode ""
    complete_to "ranks root" --encode r
    complete_to "ranks root" --encode = r
    complete_to "auto ranks root" --encode =
    complete_to "--encode --encoder-threads --encoders" --enc
    complete_to "RealESRGAN_x4plus RealESRGAN_x4plus_anime_6B" -n RealESRGAN_x4
    complete_to "a clip.mkv a folder" --input "a "
    complete_to "a folder" --job-dir "a "
    complete_to "" --threads ""
    ;;
zsh)
    require zsh
    # _arguments as zsh calls it: a specification for each spelling of an option.
    zsh -f -c '_arguments() { print -rl -- "$@" }; source "$DOCS/_realesrgan-mpi"' >"$work/specs"
    grep -qF -- '--encode=[encoding rank\: auto, root, ranks \[auto\]]:NAME:(auto root ranks)' "$work/specs" ||
        fail "zsh: $(cat "$work/specs")"
    grep -qF -- '(-i --input)--input=[' "$work/specs" || fail "zsh: $(cat "$work/specs")"
    ;;
fish)
    require fish
    export HOME="$work"
    candidates=$(fish -c 'source $DOCS/realesrgan-mpi.fish; complete -C "realesrgan-mpi --encode r"')
    [ "$(echo "$candidates" | cut -f 1 | sort | paste -s -d ' ' -)" = "ranks root" ] || fail "fish: $candidates"
    fish -c 'source $DOCS/realesrgan-mpi.fish; complete -C "realesrgan-mpi --enc"' | grep -q -- --encoder-threads ||
        fail "fish: --enc"
    ;;
esac
echo "ok"
