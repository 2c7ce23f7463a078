#!/bin/sh
# Says how a machine is, from a container of whatever image it has.
#
# Output:      a line for each thing: `free BYTES` of the disks with images and with volumes, `route CARD DESTINATION MASK`
#              and `listens PORT` as the kernel writes them, `mtu CARD BYTES`; `seen` at the end
# Environment: the network of the machine
# Volumes:     an unnamed one at /probe, so that it is where volumes are
# Repeatable:  yes; nothing is changed
set -eu
df -Pk / /probe | sed 1d | while read -r _ _ _ free _; do
  echo "free $((free * 1024))"
done
sed 1d /proc/net/route | while read -r card destination _ _ _ _ _ mask _; do
  echo "route $card $destination $mask"
done
for card in /sys/class/net/*; do
  [ ! -r "$card/mtu" ] || echo "mtu ${card##*/} $(cat "$card/mtu")"
done
for table in /proc/net/tcp /proc/net/tcp6; do
  [ ! -r "$table" ] || while read -r _ address _ state _; do
    # 0A is what the kernel calls LISTEN.
    [ "$state" != 0A ] || echo "listens ${address##*:}"
  done <"$table"
done
echo seen
