#!/usr/bin/env bash
# The README's commands, run as written, block after block. Ends with `N passed, N failed`. Needs root and npm.
#
# They run in a mount namespace of their own: /srv, /mnt and /etc are copies that go with it, and the clone is one of
# links, so that no volume of the machine and of the developer is touched. Nothing is built: `make up` and `make devnet`
# find $CAIRN built, and `make test`, which runs this, is only looked up.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ ${1:-} != inside ]]; then
    exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" inside
fi
# shellcheck source=tests/checks.sh
source "$root/tests/checks.sh"
CAIRN=$(realpath "${CAIRN:-$root/target/release/cairn}")
work=$(mktemp -d)
clone=$work/clone
export CAIRN CAIRN_RUN_DIR=$work/run PATH=$work/bin:$PATH

cleanup() {
    make -s -C "$clone" -o build cairn="$CAIRN" devnet-down >/dev/null 2>&1
    umount -l "$clone"/volume/mnt "$clone"/devnet/mnt /mnt/data 2>/dev/null
    cd / && umount -l /etc /srv /mnt
    rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/bin" "$clone"
ln -s "$CAIRN" "$work/bin/cairn"
for entry in "$root"/* "$root"/.ci; do
    [[ ${entry##*/} =~ ^(volume|devnet|target)$ ]] || ln -s "$entry" "$clone/${entry##*/}"
done
cp -a /etc "$work/etc" && mount --bind "$work/etc" /etc
mount -t tmpfs srv /srv && mount -t tmpfs mnt /mnt

cat >"$work/bin/sudo" <<'EOF'
#!/bin/sh
exec "$@"
EOF
cat >"$work/bin/make" <<EOF
#!/bin/bash
case \$1 in
up | down | devnet | devnet-down) exec $(command -v make) -o build cairn="\$CAIRN" "\$@" ;;
install) exec $(command -v make) cairn="\$CAIRN" DESTDIR="$work/installed" "\$@" ;;
*) exec $(command -v make) --dry-run "\$@" ;;
esac
EOF
chmod +x "$work/bin/sudo" "$work/bin/make"

# The blocks marked `sh`, in files of their own.
awk -v out="$work/block" '/^```sh$/ { n++; on = 1; next } /^```/ { on = 0 } on { print > (out n ".sh") }' "$root/README.md"
cd "$clone" || exit 1
for block in "$work"/block*.sh; do
    ok "$(head -n 1 "$block")" bash -euxo pipefail "$block"
done
ok "there is a volume" test -d /srv/store/packs
ok "whose key is private" test "$(stat -c %a /etc/cairn /etc/cairn/volume.key | tr '\n' ' ')" = "700 600 "
ok "the installed command runs" "$work/installed/usr/local/bin/cairn" --version
finish
