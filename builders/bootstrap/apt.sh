# Sourced by what fetches: apt with lists and folders of its own, beside the host's.
private_apt() {
    tool=$1 list=$2
    shift 2
    mkdir -p "$WORK/$list/lists/partial" "$WORK/$list/cache/archives/partial"
    "$tool" -q -o Dir::Etc::sourcelist="$(eval echo \$APT_"$list")" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$WORK/$list/lists" -o Dir::Cache="$WORK/$list/cache" \
        -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=false -o Acquire::Retries=3 "$@"
}
listed() { grep -v '^#' "$HERE/$1"; }
