#!/bin/sh
# What conmon takes for an OCI runtime: `create` starts a process that waits at the gate of its bundle.
while [ $# -gt 0 ]; do
    case "$1" in
    --bundle) bundle=$2 && shift ;;
    --pid-file) pid_file=$2 && shift ;;
    esac
    shift
done
setsid /bin/sh "${0%/*}/gate.sh" "$bundle" &
echo $! > "$pid_file"
