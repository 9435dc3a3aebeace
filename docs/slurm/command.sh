#!/bin/bash
# One fluxeq command, again and again until it is done:
#     sbatch --time=24:00:00 docs/slurm/command.sh sample --shape 60x4 ... --output e.h5
# Several workers of one search, which share its trials through the database and are an array of jobs:
#     sbatch --array=1-20 docs/slurm/command.sh search --task counting ... --storage postgresql://HOST/NAME --output found
# When the time is nearly up, fluxeq stops and exits with 75, and the job goes back into the queue to go on.
#SBATCH --job-name=fluxeq
#SBATCH --ntasks=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
stop= main=
trap 'stop=1; [ -z "$main" ] || kill -USR1 "$main"' USR1 TERM
fluxeq "$@" &
main=$!
[ -z "$stop" ] || kill -USR1 "$main"  # it came before there was anything to stop
while kill -0 "$main" 2>/dev/null; do wait "$main"; done  # a signal ends a wait
wait "$main"
code=$?
[ "$code" -eq 75 ] && scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
exit "$code"
