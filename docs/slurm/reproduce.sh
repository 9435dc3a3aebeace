#!/bin/bash
# A whole study inside one allocation: a Dask scheduler beside fluxeq on the first node, a worker on every core.
#     sbatch --ntasks=256 --time=24:00:00 docs/slurm/reproduce.sh paper runs/paper
# Shortly before the time limit fluxeq stops and exits with 75, and the job is requeued to resume.
#SBATCH --job-name=fluxeq
#SBATCH --cpus-per-task=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
study=$1 run=$2
file="$PWD/.scheduler-$SLURM_JOB_ID.json"  # on the file system that all nodes see
rm -f "$file"

dask scheduler --port 0 --no-dashboard --scheduler-file "$file" &
scheduler=$!
srun dask worker --nthreads 1 --memory-limit 0 --no-dashboard --local-directory "${TMPDIR:-/tmp}" --death-timeout 120 \
    --scheduler-file "$file" &
workers=$!
until [ -s "$file" ]; do
    kill -0 "$scheduler" || exit 1
    sleep 1
done
address=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$file")

stop= main=
trap 'stop=1; [ -z "$main" ] || kill -USR1 "$main"' USR1 TERM
fluxeq reproduce "$study" --output "$run" --executor dask --scheduler "$address" &
main=$!
[ -z "$stop" ] || kill -USR1 "$main"  # it came before there was anything to stop
while kill -0 "$main" 2>/dev/null; do wait "$main"; done  # a signal ends a wait
wait "$main"
code=$?

trap '' USR1 TERM
kill "$workers" "$scheduler"
wait "$workers" "$scheduler"
rm -f "$file"
[ "$code" -eq 75 ] && scontrol requeue "$SLURM_JOB_ID"
exit "$code"
