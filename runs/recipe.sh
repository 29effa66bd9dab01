#!/bin/sh
# The whole recipe of snellen-1, unattended, from data to calibrated model folders, supervised and reinforced:
#
#     sh runs/recipe.sh DATA build [PERCENT]
#
# DATA holds BIQ2021, debian, codec-corpus, held, photos and chosen (runs/README.md says what they are). Killed, it goes on where it
# was: steps that ended are skipped, the long ones resume from their checkpoint. PERCENT of all pictures that are made
# and of all training steps, 100 if it is not given: a rehearsal on little data shows in minutes whether all of it runs.
set -eu
data=$1 out=$2 percent=${3:-100}
export MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_MMAP_THRESHOLD_=8589934592
mkdir -p "$out/done"

some() { # COUNT [AT LEAST]
    n=$((($1 * percent + 99) / 100))
    echo $((n > ${2:-1} ? n : ${2:-1}))
}

step() {
    name=$1
    shift
    if [ ! -e "$out/done/$name" ]; then
        echo "$(date +%H:%M:%S) $name: $*"
        "$@"
        touch "$out/done/$name"
    fi
}

step sources python runs/sources.py --biq "$data/BIQ2021" --wallpapers "$data/debian" \
    --codecs "$data/codec-corpus" --held "$data/held" --more "$data/photos" \
    --chosen "$data/chosen" --out "$out"
step pristine python runs/pristine.py --photographs "$out/photographs.jsonl" --out "$out/pristine.jsonl"
step dev python runs/pristine.py --photographs "$out/photographs.jsonl" --split dev --out "$out/dev.jsonl"
step looks python runs/looks.py --photographs "$out/photographs.jsonl" --manifest "$out/biq2021.jsonl" \
    --large "$(some 10000)" --small "$(some 4000)" --out "$out/looks"
step visible python runs/visible.py --looks "$out/looks"
step known python runs/known.py --manifest "$out/biq2021.jsonl" --looks "$out/looks" \
    --real "$(some 3000)" --synthetic "$(some 7000)" --out "$out/known"
step vision python runs/vision.py --manifest "$out/biq2021.jsonl" --store "$out/looks" --synthetic 6 \
    --steps "$(some 2000)" --out "$out/vision-first"
step vision-again python runs/vision.py --manifest "$out/biq2021.jsonl" --store "$out/looks" --synthetic 10 --seed 2 \
    --start "$out/vision-first/vision.pt" --teacher "$out/vision-first/vision.pt" --encoder-rate 3e-4 \
    --head-rate 1e-3 --frozen 5 --steps "$(some 1500)" --out "$out/vision-again"
step average python runs/average.py --vision "$out/vision-first/vision.pt" "$out/vision-again/vision.pt" \
    --out "$out/vision"
step looks-own python runs/looks.py --photographs "$out/photographs.jsonl" --manifest "$out/biq2021.jsonl" \
    --vision "$out/vision/vision.pt" --large "$(some 8000)" --small 0 --seed 77 --out "$out/looks-own"
step visible-own python runs/visible.py --looks "$out/looks-own"
step cells python runs/cells.py --vision "$out/vision/vision.pt" --known "$out/known" --looks "$out/looks" "$out/looks-own" \
    --out "$out/cells"
step heads python runs/heads.py --vision "$out/vision/vision.pt" --looks "$out/looks" "$out/looks-own" \
    --cells "$out/cells" --steps "$(some 12000)" --rate 1.2e-3 --out "$out/heads"
step glimpse python runs/glimpse.py --vision "$out/heads/vision.pt" --known "$out/known" --looks "$out/looks" \
    --steps "$(some 5000 100)" --out "$out/glimpse"
step vectors python runs/vectors.py --glimpse "$out/glimpse" --known "$out/known" --looks "$out/looks" \
    --cells "$out/cells" --out "$out/vectors"
step rationales python runs/rationales.py --vectors "$out/vectors" --out "$out/rationales.jsonl"
step sft python runs/sft.py --vectors "$out/vectors" --rationales "$out/rationales.jsonl" --steps "$(some 3000)" --bf16 \
    --out "$out/sft-first"
step second python runs/second.py --sft "$out/sft-first" --vectors "$out/vectors" \
    --rationales "$out/rationales.jsonl" --limit "$(some 8000)" --out "$out/rationales-own.jsonl"
step sft-own python runs/sft.py --vectors "$out/vectors" --rationales "$out/rationales-own.jsonl" \
    --start "$out/sft-first/decoder.pt" --rate 1.5e-3 --steps "$(some 1600)" --bf16 --out "$out/sft-own"
step rater python runs/rater.py --sft "$out/sft-own" --vectors "$out/vectors" --rationales "$out/rationales-own.jsonl" \
    --steps "$(some 4000)" --out "$out/sft"
step rl python runs/rl.py --vision "$out/glimpse/vision.pt" --sft "$out/sft" --manifest "$out/biq2021.jsonl" \
    --looks "$out/looks" --pictures "$(some 800 40)" --steps "$(some 120)" --real 3 --synthetic 5 --rollouts 6 --rate 3e-4 \
    --token-credit --out "$out/rl"
step rater-rl python runs/rater.py --sft "$out/rl" --vectors "$out/vectors" \
    --rationales "$out/rationales-own.jsonl" --steps "$(some 4000)" --out "$out/rl-rated"
# two models, the supervised one and the reinforced one: the evaluation decides which is better (runs/README.md)
step export-sft python runs/export.py --vision "$out/glimpse/vision.pt" --sft "$out/sft" --version 0.14.0 \
    --out "$out/model-sft"
step calibrate-sft python runs/calibrate.py --manifest "$out/biq2021.jsonl" --model "$out/model-sft" \
    --out "$out/calibrate-sft" --workers 2
step export python runs/export.py --vision "$out/glimpse/vision.pt" --sft "$out/rl-rated" --version 0.14.0 \
    --out "$out/model"
step calibrate python runs/calibrate.py --manifest "$out/biq2021.jsonl" --model "$out/model" --out "$out/calibrate" \
    --workers 2
