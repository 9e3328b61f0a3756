# Sourced by the builds here: packages of Debian's backports, unpacked, by an apt with sources, lists and archives of its own. The
# machine's stay as they are; only the mirror is the one it has.

suite=${ZFS_SUITE:-bookworm-backports}

fetch() { # DIRECTORY PACKAGES...: below DIRECTORY/debs as they come, and unpacked in DIRECTORY/root
    local dir=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror deb
    shift
    mirror=${ZFS_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: ${suite%-backports}" | head -n 1)}
    [[ -n $mirror ]] || { echo "apt knows no mirror of ${suite%-backports}: name one in ZFS_MIRROR" >&2; return 1; }
    local apt=(apt-get -qq
        -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$dir/lists"
        -o "Dir::Cache::PkgCache=" -o "Dir::Cache::SrcPkgCache=" -o APT::Sandbox::User=root)
    mkdir -p "$dir/lists/partial" "$dir/debs" "$dir/root"
    {
        echo "deb [signed-by=$keyring] $mirror $suite main contrib"
        echo "deb [signed-by=$keyring] $mirror ${suite%-backports} main"
    } >"$dir/sources.list"
    "${apt[@]}" update
    (cd "$dir/debs" && "${apt[@]}" download "$@")
    for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/root"; done
}
