# shellcheck shell=bash
# Sourced: packages from Debian's or Ubuntu's archive, as apt of this machine is configured. They are unpacked into a folder and
# never installed, so it needs no root, starts no service, and never trades a package of the machine for another.

# The version that apt would install, or nothing.
candidate() {
    apt-cache policy "$1" | sed -n 's/^ *Candidate: //p' | grep -v '(none)' || true
}

# What an installation would add, without what it would only change; apt reports a conflict but prints its plan all the same.
lacking() {
    { apt-get -q install --simulate --no-install-recommends "$@" || true; } | awk '/^Inst / && $3 ~ /^[(]/ { print $2 }'
}

# unpack FOLDER PACKAGE…: into the folder, from the newest list of packages that there is.
unpack() {
    local folder=$1 packages
    shift
    packages=$(mktemp -d)
    (cd "$packages" && apt-get -q download "$@") && for package in "$packages"/*.deb; do dpkg -x "$package" "$folder"; done
    rm -r "$packages"
}

# refresh PACKAGE: an old list of packages may lack it; only root may get a new one.
refresh() {
    [[ -n $(candidate "$1") ]] || as_root apt-get -q update || true
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
