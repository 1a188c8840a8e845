#!/usr/bin/env bash
# Makes the README's screenshots: the real window, exploring the bundled faces, and before, during and after a short
# training on synth:rooms.
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
shot() { import -window root "$out/$1.png"; }
click() { xdotool mousemove "$1" "$2" click 1; sleep 1; xdotool mousemove 1000 795; sleep 1; }
# No window manager gives the keyboard's focus here, so the theme's button is used and not its shortcut.
theme() { click $((${size%x*} - 51)) 16; }
sleep 5
id=$(xdotool search --onlyvisible --name zscape | head -1)
xdotool windowsize "$id" "${size%x*}" "${size#*x}" windowmove "$id" 0 0
sleep 3
shot explore-dark
at() { xdotool mousemove "$1" "$2" click 1; sleep 0.8; }
at 548 54 # faces
sleep 3
at 110 54 # arithmetic
for y in 160 240 320; do for x in 60 140 220; do at $x $y; done; done
xdotool mousemove 1000 795
sleep 2
shot arithmetic-dark
at 179 54 # walk
at 506 115 # the paper's nine
sleep 4
shot walk-dark
at 246 54 # directions
sleep 3
at 520 360
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
