#!/bin/sh
# One session of a study on a machine with limited time and possibly without network access:
#     sh piece.sh SECONDS STUDY RUN [further options of fluxeq reproduce]
# Unpacks state.tar if it exists, works for at most SECONDS, and writes state.tar for the next session: everything needed to
# resume except ensembles, which are sampled again bit for bit if required.
# Exits with 0 if the study is complete, and with 75 otherwise.
set -u
seconds=$1 study=$2 run=$3
shift 3
[ ! -f state.tar ] || tar xf state.tar || exit 1
timeout --preserve-status --signal TERM --kill-after 30 "$seconds" fluxeq reproduce "$study" --output "$run" "$@"
code=$?
tar cf state.tar.unfinished --exclude "$run/ensembles" --exclude "*.unfinished*" "$run" &&
    mv state.tar.unfinished state.tar || exit 1
exit "$code"
