#!/bin/bash
# One fluxeq command, requeued until it is done:
#     sbatch --time=24:00:00 docs/slurm/command.sh sample --shape 60x4 ... --output e.h5
# Several workers of one search as a job array, which share its trials through the database:
#     sbatch --array=1-20 docs/slurm/command.sh search --task counting ... --storage postgresql://HOST/NAME --output found
# Shortly before the time limit fluxeq stops and exits with 75, and the job is requeued to resume.
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
