#!/usr/bin/env bash
# Takes the screenshots of the README: the window on the bundled models, and before, during and after a short training on
# synth:rooms.
# Needs xvfb, xdotool, imagemagick. Usage: assets/screenshots.sh [SECONDS OF TRAINING] [WIDTHxHEIGHT] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-240} size=${2:-1280x800} out=$(realpath -m "${3:-assets/screenshots}")
program=${CARGO_TARGET_DIR:-target}/release/zscape
[ -x "$program" ] || cargo build --release --locked
program=$(realpath "$program")
work=$(mktemp -d)
mkdir -p "$out"
Xvfb :97 -screen 0 "${size}x24" >/dev/null 2>&1 &
server=$!
trap 'kill $window $server 2>/dev/null || true; rm -rf "$work"' EXIT
export DISPLAY=:97 XDG_DATA_HOME=$work XDG_RUNTIME_DIR=$work
sleep 1
cd "$work"
"$program" &
window=$!
shot() { import -window root -quality 80 "$out/$1.webp"; }
aside() { xdotool mousemove 1000 795; sleep "${1:-1}"; }
click() { xdotool mousemove "$1" "$2" click 1; sleep 1; aside; }
theme() { xdotool key ctrl+t; sleep 1; }
sleep 5
id=$(xdotool search --onlyvisible --name zscape | head -1)
xdotool windowsize "$id" "${size%x*}" "${size#*x}" windowmove "$id" 0 0
sleep 1
# No window manager gives the keyboard's focus here.
xdotool windowfocus "$id"
aside 2
shot explore-dark
xdotool key 8 # forget windows
sleep 1
click 255 115 # propose boxes
sleep 12
shot forget-dark
click 761 55 # faces
xdotool key 2 # arithmetic
sleep 2
for y in 210 310 410; do for x in 54 157 260; do xdotool mousemove $x $y click 1; sleep 0.8; done; done
aside 2
shot arithmetic-dark
xdotool key 3 # walk
sleep 1
click 500 115 # the paper's nine
sleep 4
shot walk-dark
xdotool key 4 # directions
sleep 4
theme
shot directions-light
theme
click 172 16
sleep 3
shot before-dark
theme
shot before-light
theme
click 160 62
sleep "$seconds"
shot during-dark
click 215 55
sleep 5
theme
shot after-light
