# shellcheck shell=bash
# Two principals mount one volume. Sourced by a script of shared_mount_test.cc, in PID and mount namespaces of its own.
#
#   KMSFS, LOAD, TOP: the program, shared_load.py, a directory for everything; BACKING_A, BACKING_B: the same directory,
#   by the way that each mount goes. Defines kmsfs_of, mount_of, load.

# Copies of other tests' mounts came into this namespace, and would keep those alive after they were unmounted.
while read -r _ copy type _; do
  [ "$type" != fuse.kmsfs ] || umount -l "$copy" || true
done < /proc/mounts

# A network file system takes its time by itself.
case $BACKING_A in */gluster-*) export LOAD_SECONDS=1 ;; esac
mkdir -p "$TOP"/{a,b,home,run-a,run-b}
chmod 700 "$TOP"/run-?

kmsfs_of() {
  local who=$1
  shift
  env HOME="$TOP/home" XDG_DATA_HOME="$TOP/data" XDG_STATE_HOME="$TOP/state-$who" XDG_RUNTIME_DIR="$TOP/run-$who" "$KMSFS" "$@"
}

mount_of() {
  local who=$1 user=() backing
  backing="BACKING_${who^^}"
  [ "$who" = a ] || user=(--user bob)
  kmsfs_of "$who" mount --shared "${user[@]}" "${@:2}" "${!backing}" "$TOP/$who"
}

load() { timeout -k 5 55 python3 -B "$LOAD" "$1" "$TOP/a" "$TOP/b" "${@:2}"; }

make_volume() {
  kmsfs_of a init --kms "local:$TOP/kms" --seal keyfile "$BACKING_A" > "$TOP/said"
  kmsfs_of a kms --kms "local:$TOP/kms" create-user --user-name bob > "$TOP/said"
  kmsfs_of a kms --kms "local:$TOP/kms" put-user-policy --user-name bob --policy-name UseKeys --policy-document \
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*"}]}' > "$TOP/said"
}

pid_of() { kmsfs_of "$1" status --json "$TOP/$1" | grep -o '"process": *[0-9]*' | grep -o '[0-9]*$'; }

# Nothing that was written, by whatever interleaving, is corrupt.
nothing_corrupt() {
  for who in a b; do
    kmsfs_of "$who" status --json "$TOP/$who" > "$TOP/status"
    grep -q '"corrupt": *0' "$TOP/status" || { cat "$TOP/status"; return 1; }
  done
}
