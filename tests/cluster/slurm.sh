#!/usr/bin/env bash
# A single-node Slurm on loopback for the tests: `slurm.sh start FOLDER` or `slurm.sh stop FOLDER`.
# The executor hides SLURM_CONF from its jobs, so the configuration lies in /etc/slurm. It goes when Slurm stops: without
# its controller it would keep each later start of Snakemake waiting for ten seconds.
# Needs root and Debian's slurm-wlm and munge; says why and exits with 77 where it cannot start.
set -euo pipefail
command -v slurmctld slurmd munged sbatch >/dev/null || { echo "slurm-wlm and munge are not installed"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "root is needed to start slurmd"; exit 77; }
folder=$2
here=$(hostname -s)
conf=/etc/slurm/slurm.conf
ours() { grep -qs "^# flowstudy test" "$conf"; }
stop() {
  for name in slurmd slurmctld munged; do
    [ -f "$folder/$name.pid" ] && kill -KILL "$(cat "$folder/$name.pid")" 2>/dev/null || true
  done
  if ours; then rm "$conf"; fi
}
if [ "$1" = stop ]; then stop; exit 0; fi
[ ! -f "$conf" ] || ours || { echo "this machine has a Slurm of its own"; exit 77; }
mkdir -p "$folder"/{state,spool} /etc/slurm /run/munge
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
cat > "$conf" <<CONF
# flowstudy test
ClusterName=loopback
SlurmctldHost=$here(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=5
NodeName=$here NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$here Default=YES MaxTime=INFINITE State=UP
CONF
[ -s /etc/munge/munge.key ] || { mkdir -p /etc/munge; head -c 1024 /dev/urandom > /etc/munge/munge.key; }
chmod 700 /etc/munge; chmod 600 /etc/munge/munge.key
chown -R munge: /etc/munge /run/munge "$(dirname /var/log/munge/x)" /var/lib/munge 2>/dev/null || true
chmod 755 /run/munge
if ! munge -n >/dev/null 2>&1; then
  runuser -u munge -- munged --force || { echo "munged does not start"; exit 77; }
  pgrep -n -x munged > "$folder/munged.pid"
fi
slurmctld && slurmd || { echo "slurmctld or slurmd does not start"; stop; exit 77; }
for _ in $(seq 40); do
  sinfo -h -o %T 2>/dev/null | grep -qE '^(idle|mixed|allocated)' && exit 0
  sleep 0.5
done
echo "the node does not come up: $(tail -2 "$folder"/slurmd.log "$folder"/slurmctld.log)"; stop; exit 77
