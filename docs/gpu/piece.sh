#!/bin/sh
# One piece of a study, on a machine that is lent for a while and perhaps has no network:
#     sh piece.sh SECONDS STUDY RUN [further options of fluxeq reproduce]
# Takes up state.tar where there is one, works for at most SECONDS, and leaves state.tar for the next piece: all that a run
# needs to go on but its ensembles, which are sampled again, bit for bit, as far as they are still needed.
# Exits with 0 when the study is complete, and with 75 when the next piece is to go on.
set -u
seconds=$1 study=$2 run=$3
shift 3
[ ! -f state.tar ] || tar xf state.tar || exit 1
timeout --preserve-status --signal TERM --kill-after 30 "$seconds" fluxeq reproduce "$study" --output "$run" "$@"
code=$?
tar cf state.tar.unfinished --exclude "$run/ensembles" --exclude "*.unfinished*" "$run" &&
    mv state.tar.unfinished state.tar || exit 1
exit "$code"
