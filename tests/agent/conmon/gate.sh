# The container's first process: waits until `start` writes into the gate, then becomes the script.
read -r _ < "$1/gate"
: > "$1/started"
cd /
. "$1/environment"
exec /bin/sh "$1/script"
