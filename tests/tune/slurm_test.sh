#!/bin/bash
# A sharded sweep through a real Slurm: installed into a throw-away root, one task killed and submitted again, merged;
# every candidate is found once. Needs root, debootstrap and Debian's packages.
# usage: slurm_test.sh LATHE SHIMS SOURCE BUILD FOLDER
set -eu
lathe=$1 shims=$2 source=$3 build=$4 folder=$5
skip() { echo "tune/slurm needs $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "root, to make a root for Slurm"
command -v debootstrap >/dev/null || skip "debootstrap (Debian: debootstrap)"
unshare -m true 2>/dev/null || skip "mount namespaces"
root=$folder/root
shards=8
packages="slurmctld slurmd slurm-client munge libbenchmark1debian libfmt9"
mkdir -p "$folder"
# Debian's own address, as this machine knows it
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | head -1)
if [ "$(cat "$root/installed" 2>/dev/null)" != "$packages" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 || skip "a Debian mirror: $(tail -1 "$folder/debootstrap.log")"
  cp -r /etc/apt/apt.conf.d /etc/apt/sources.list* "$root/etc/apt/" 2>/dev/null || true
  chroot "$root" sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    '"$packages" >"$folder/install.log" 2>&1 || skip "Slurm's packages: $(tail -1 "$folder/install.log")"
  echo "$packages" >"$root/installed"
fi

out=$folder/out
rm -rf "$out"
"$lathe" tune slurm causal --row avx2 --strategy exhaustive --evals 1000 --shards $shards --out "$out" \
  --generator "$shims/shim-generator" --linker "$shims/shim-linker" --runner "$shims/shim-runner"

cat >"$folder/inside.sh" <<'INSIDE'
set -eu
root=$1 out=$2 source=$3 build=$4 shards=$5
mount --bind /dev "$root/dev"
for place in "$source" "$build" "$out"; do
  mkdir -p "$root$place"
  mount --bind "$place" "$root$place"
done
host=$(hostname -s)
mkdir -p "$root/etc/slurm" "$root/run/munge" "$root/var/spool/ctld" "$root/var/spool/d"
cat >"$root/etc/slurm/slurm.conf" <<CONF
ClusterName=lathe-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=/var/spool/ctld
SlurmdSpoolDir=/var/spool/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=2000 State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=10 State=UP
CONF
echo 'CgroupPlugin=cgroup/v1' >"$root/etc/slurm/cgroup.conf"
chroot "$root" /bin/bash -s "$out" "$host" "$shards" <<'SLURM'
set -eu
out=$1 host=$2 shards=$3
mount -t proc proc /proc
# slurmd looks for cgroups where there may be none
mkdir -p /sys/fs/cgroup
grep -q "$host" /etc/hosts 2>/dev/null || echo "127.0.0.1 localhost $host" >>/etc/hosts
head -c 1024 /dev/urandom >/etc/munge/munge.key
chown munge /etc/munge/munge.key /run/munge && chmod 400 /etc/munge/munge.key
runuser -u munge -- munged --force
slurmctld
slurmd
for i in $(seq 100); do sinfo -h -o %T 2>/dev/null | grep -q idle && break; sleep 0.2; done
sinfo
# the scheduler's own killer takes task 3, in the middle of its work: some of its candidates are on the disk, some are not
job=$(sbatch --parsable --array=0-$((shards - 1))%2 --export=ALL "$out/sweep.sbatch")
journal() { cat "$out"/causal-plain-*/shard-3-of-"$shards".jsonl 2>/dev/null | wc -l; }
for i in $(seq 3000); do [ "$(journal)" -ge 4 ] && break; sleep 0.02; done
scancel "${job}_3"
sleep 1
killed=$(journal)
again=$(sbatch --parsable --dependency=afterany:"$job" --array=3 "$out/sweep.sbatch")
merge=$(sbatch --parsable --dependency=afterany:"$again" "$out/merge.sbatch")
for i in $(seq 1500); do [ -z "$(squeue -h)" ] && break; sleep 0.2; done
echo "jobs $job, $again and $merge are over; task 3 was killed with $killed lines of $(journal)"
[ "$killed" -lt "$(journal)" ] || { echo "the task was over before it was killed"; exit 1; }
cat "$out"/merge.log
SLURM
INSIDE
# processes of their own too: when the script ends, the daemons end with it
unshare -m -p -f --propagation private bash "$folder/inside.sh" "$root" "$out" "$source" "$build" $shards
python3 - "$out" <<'CHECK'
import collections, glob, json, sys
seen = collections.Counter()
for name in glob.glob(sys.argv[1] + "/causal-plain-*/shard-*-of-8.jsonl"):
    for line in open(name):
        entry = json.loads(line)
        if entry["stage"] == "sweep":
            seen[entry["id"]] += 1
assert len(seen) == 90 and max(seen.values()) == 1, (len(seen), seen.most_common(1))
run = glob.glob(sys.argv[1] + "/causal-plain-*")[0]
merged = json.load(open(run + "/merged.json"))
assert merged["candidates"] == 90 and merged["best"][0]["text"] == "a=6 b=5", merged
result = json.load(open(run + "/result.json"))
assert result["params"] == {"a": 6, "b": 5} and result["evidence"]["search"]["evals"] == 90, result
print("90 of 90 candidates, each once")
CHECK
