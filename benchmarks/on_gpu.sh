#!/bin/sh
# Everything that is measured on a GPU, in the root of the repository, within the limits of short loans:
#     sh benchmarks/on_gpu.sh FOLDER [STEP ...]
# Steps have time limits and need no network. Logs and tables are in FOLDER as soon as they exist, so an interrupted
# call counts as well; `steps` there has the exit code and seconds of each step. By default all steps, in this order:
#     chains      the cases of tests/sampling/gpu_cases.py
#     checks      python -m verification
#     sampling    python -m benchmarks.gpu_sampling
#     training    python -m benchmarks.training --only together (needs PyTorch)
#     quick       fluxeq reproduce quick; its log.jsonl has the seconds of each job
#     paper       benchmarks/on_gpu.toml for LAST seconds (200), from FOLDER/state.tar if there is one (docs/gpu/piece.sh)
# With DEVICE=cpu the script itself can be tried without a GPU, in steps of at most 20 seconds; only `sampling` needs one.
set -u
[ $# -gt 0 ] && mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit 2
shift
device=${DEVICE:-cuda} longest=600
if [ "$device" = cpu ]; then
    longest=20
    export NUMBA_ENABLE_CUDASIM=1
fi

limited() { # SECONDS COMMAND
    seconds=$1
    shift
    [ "$seconds" -le "$longest" ] || seconds=$longest
    timeout --signal INT --kill-after 20 "$seconds" "$@"
}

run() {
    case $1 in
    chains) limited 90 python3 -m pytest -q -p no:cacheprovider tests/sampling/gpu_cases.py ;;
    checks) limited 90 python3 -m verification --device "$device" --output "$folder/verification" ;;
    sampling) limited 180 python3 -m benchmarks.gpu_sampling 1 ;;
    training) limited 150 python3 -m benchmarks.training --only together --threads 1 --device "$device" ;;
    quick) limited 300 python3 -m fluxeq reproduce quick --device "$device" --output "$folder/quick" ;;
    paper)
        root=$PWD seconds=${LAST:-200}
        [ "$seconds" -le "$longest" ] || seconds=$longest
        cd "$folder" && sh "$root/docs/gpu/piece.sh" "$seconds" "$root/benchmarks/on_gpu.toml" paper --device "$device"
        ;;
    *) echo "$1: no step" >&2 && return 2 ;;
    esac
}

[ $# -gt 0 ] || set -- chains checks sampling training quick paper
for step in "$@"; do
    start=$(date +%s)
    (run "$step") >"$folder/$step.log" 2>&1
    echo "$step: exit code $?, $(($(date +%s) - start)) s" | tee -a "$folder/steps"
    tail -n 15 "$folder/$step.log"
    for table in gpu_sampling on_cores together; do
        [ ! -f results/benchmarks/$table.csv ] || cp results/benchmarks/$table.csv "$folder"
    done
done
