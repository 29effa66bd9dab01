#!/bin/sh
# All stages of snellen-1, unattended, from data to a calibrated model folder and its decoder:
#
#     sh recipes/snellen-1/recipe.sh DATA build [PERCENT]
#
# README.md describes DATA. Started again, it skips the stages that ended; the long ones resume from their checkpoint.
# PERCENT of all synthetic pictures and training steps (100): a rehearsal on little data takes minutes.
set -eu
here=$(dirname "$0") data=$1 out=$2 percent=${3:-100}
export MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_MMAP_THRESHOLD_=8589934592
mkdir -p "$out/done"

some() { # COUNT [AT LEAST]
    n=$((($1 * percent + 99) / 100))
    echo $((n > ${2:-1} ? n : ${2:-1}))
}

stage() { # NAME COMMAND ...
    name=$1
    shift
    if [ ! -e "$out/done/$name" ]; then
        echo "$(date +%H:%M:%S) $name: $*"
        "$@"
        touch "$out/done/$name"
    fi
}

train() { # STAGE STEPS FILE
    sed "s|\"build/|\"$out/|; s|^steps = .*|steps = $(some "$2")|" "$here/$3" > "$out/$1.toml"
    snellen train "$1" --config "$out/$1.toml"
}

photographs=$out/photographs.jsonl manifest=$out/biq2021.jsonl
stage sources python "$here/00_sources.py" --biq2021 "$data/BIQ2021" --wallpapers "$data/debian" \
    --codecs "$data/codec-corpus" --held "$data/held" --more "$data/photos" --chosen "$data/chosen" --out "$out"
stage views python "$here/01_views.py" --photographs "$photographs" --manifest "$manifest" \
    --large "$(some 10000)" --small "$(some 4000)" --out "$out/views"
stage encoder-1 python "$here/02_encoder.py" --manifest "$manifest" --views "$out/views" --synthetic 6 \
    --steps "$(some 2000)" --out "$out/encoder-1"
stage encoder-2 python "$here/02_encoder.py" --manifest "$manifest" --views "$out/views" --synthetic 10 --seed 2 \
    --start "$out/encoder-1/perception.pt" --teacher "$out/encoder-1/perception.pt" --encoder-rate 3e-4 \
    --head-rate 1e-3 --frozen 5 --steps "$(some 1500)" --out "$out/encoder-2"
stage encoder python "$here/03_average.py" "$out/encoder-1/perception.pt" "$out/encoder-2/perception.pt" \
    --out "$out/encoder"
stage views-detected python "$here/01_views.py" --photographs "$photographs" --manifest "$manifest" \
    --perception "$out/encoder/perception.pt" --large "$(some 8000)" --small 0 --seed 77 --out "$out/views-detected"
stage cells python "$here/04_cells.py" --perception "$out/encoder/perception.pt" --manifest "$manifest" \
    --views "$out/views" "$out/views-detected" --out "$out/cells"
stage fault-head python "$here/05_fault_head.py" --perception "$out/encoder/perception.pt" \
    --views "$out/views" "$out/views-detected" --cells "$out/cells" --steps "$(some 12000)" --out "$out/fault-head"
stage photo-rating python "$here/06_photo_rating.py" --perception "$out/fault-head/perception.pt" \
    --cells "$out/cells" --live "$data/ChallengeDB_release" --photographs "$photographs" --views "$out/views" \
    --ladders "$(some 130)" --out "$out/photo-rating"
stage rating-head python "$here/07_rating_head.py" --perception "$out/photo-rating/perception.pt" \
    --cells "$out/cells" --ratings "$out/photo-rating" --views "$out/views" --steps "$(some 4000)" \
    --out "$out/rating-head"
stage export python "$here/08_export.py" --perception "$out/photo-rating/perception.pt" \
    --rating-head "$out/rating-head/rating_head.pt" --photo-rating "$out/photo-rating/photo_rating.npz" \
    --version 0.16.0 --out "$out/model"
stage calibrate python "$here/09_calibrate.py" --manifest "$manifest" --live "$data/ChallengeDB_release" \
    --photo-rating "$out/photo-rating" --model "$out/model" --workers 2 --out "$out/calibrate"
stage photo-faults python "$here/10_photo_faults.py" --biq2021 "$data/BIQ2021/Images" \
    --live "$data/ChallengeDB_release/Images" --model "$out/model"
stage pictures python "$here/11_pictures.py" --views "$out/views" --count "$(some 800 40)" --out "$out/synthetic"
stage sft train sft 1200 12_sft.toml
stage rl train rl 120 13_rl.toml
stage decide python "$here/14_decide.py" --model "$out/model" --decoders "$out/sft" "$out/rl" --manifest "$manifest" \
    --synthetic "$out/synthetic/synthetic.jsonl" --features "$out/features.db" --out "$out/decide"
