#!/usr/bin/env bash
# Numbers from a graphics card, beside PyTorch on the same card, in under eight minutes.
#
#     benches/gpu.sh ZSCAPE [FOLDER] [DEVICE]
#
# ZSCAPE is the program, stripped or packed by xz; neither Rust nor the sources are needed, only benches/peer.py beside this script
# and, for the peer's rows, a python3 with PyTorch (PYTHON names another). FOLDER (results) gets each program's JSON, results.json
# with all of it, and table.md, which is printed at the end. DEVICE (gpu) is what `--device` takes.
#
# The kernels are compared with the CPU's first: a card whose results differ gets no numbers.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,10p' "$0"; exit 2; }
out=$(mkdir -p "${2:-results}" && cd "${2:-results}" && pwd)
device=${3:-gpu}
python=${PYTHON:-python3}
zscape=$(realpath "$1")
case $zscape in
*.xz) xz -T0 -dc "$zscape" >"$out/zscape" && chmod +x "$out/zscape" && zscape=$out/zscape ;;
esac

# LIMIT NAME COMMAND...: runs it for LIMIT seconds at most, its output in NAME.json, and says how long it took.
run() {
    local limit=$1 name=$2 began=$SECONDS
    shift 2
    if timeout "$limit" "$@" >"$out/$name.part" 2>"$out/$name.err"; then
        mv "$out/$name.part" "$out/$name.json"
        printf '%4d s  %-24s %3d s\n' "$SECONDS" "$name" $((SECONDS - began))
    else
        printf '%4d s  %-24s failed after %d s: %s\n' "$SECONDS" "$name" $((SECONDS - began)) "$(tail -n 1 "$out/$name.err")"
        return 1
    fi
}

# Every compiler has tuning results of its own, so that runs do not wait for each other's.
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp} XDG_CACHE_HOME=${XDG_CACHE_HOME:-$out/cache}

run 20 doctor "$zscape" doctor --json
correct=yes
for precision in mixed f32; do
    run 90 "check-$precision" "$zscape" bench --device "$device" --json --check --precision $precision || correct=no
done
if [ $correct = no ]; then
    echo "the kernels differ from the CPU's on this card, or could not run: see $out" >&2
    cat "$out"/check-*.err >&2
    exit 1
fi

# WGSL compiles for every card; SPIR-V, the default where a card takes it, reaches tensor cores.
for compiler in spirv wgsl; do
    export CUBECL_WGPU_COMPILER=$compiler
    for precision in mixed f32; do
        [ "$compiler $precision" = "wgsl mixed" ] && continue
        run 40 "$compiler-$precision-64" "$zscape" bench --device "$device" --json --precision $precision --batch 64 --steps 30
        [ $compiler = wgsl ] && continue
        run 40 "$compiler-$precision-128" "$zscape" bench --device "$device" --json --precision $precision --batch 128 --steps 30
        run 40 "$compiler-$precision-paper" "$zscape" bench --device "$device" --json --precision $precision --preset paper --batch 128 --steps 20
    done
done
unset CUBECL_WGPU_COMPILER
for precision in mixed f32; do
    run 40 "operations-$precision" "$zscape" bench --device "$device" --json --precision $precision --per-op --batch 128
done

if [ -n "${PEER_DEVICE:=$("$python" -c 'import torch; print("cuda" if torch.cuda.is_available() else "")' 2>/dev/null)}" ]; then
    peer() { local limit=$1 name=$2; shift 2; run "$limit" "$name" "$python" "$here/peer.py" "$@" --device "$PEER_DEVICE"; }
    peer 40 ceilings ceilings
    for precision in --bf16 ""; do
        name=peer${precision:+-bf16}
        peer 30 "$name-64" step --channels-last --batch 64 --steps 30 $precision
        peer 30 "$name-128" step --channels-last --batch 128 --steps 30 $precision
        peer 30 "$name-paper" step --channels-last --batch 128 --base 128 --kernel 5 --steps 20 $precision
    done
    # Compiling takes a minute or two each, which is why these come last.
    peer 120 peer-compiled-bf16-128 step --channels-last --batch 128 --steps 30 --bf16 --compile
    peer 120 peer-compiled-bf16-paper step --channels-last --batch 128 --base 128 --kernel 5 --steps 20 --bf16 --compile
else
    echo "no PyTorch with CUDA here: the table has no peer" >&2
fi

"$python" "$here/table.py" "$out" | tee "$out/table.md"
