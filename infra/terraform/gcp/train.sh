# What the GPU machine does, after lines that set IMAGE, CORPUS, RUN, PRESET, SETTINGS, GROUP and REGION. `main` trains to the
# end; `leave` is run in the half minute between the notice of a preemption and its end.
set -euo pipefail
HERE=${HERE:-/var/lib/derlem/run}
EVERY=${EVERY:-120} # seconds between two copies: what a lost machine has trained since is trained again
mkdir -p "$HERE"

# A checkpoint counts from the moment that its facts.json is there: that comes after the other files, and what the run has
# removed goes last. Copied are hard links of one moment, as training does not wait; where it was in the way, the next copy is.
push() {
  (
    flock 9
    rm -rf "$HERE.links"
    copy=(gcloud storage rsync --recursive --quiet "$HERE.links" "$RUN")
    cp -al "$HERE" "$HERE.links" \
      && "${copy[@]}" --exclude='(.*/)?(\..*|facts\.json)$' \
      && "${copy[@]}" --exclude='(.*/)?\..*' \
      && "${copy[@]}" --exclude='(.*/)?\..*' --delete-unmatched-destination-objects
  ) 9>"$HERE.lock"
}

# The latest copy. A folder that was copied in part has no facts.json, and is not looked at. Of a new run Terraform has made the
# folder, so that a copy that cannot be had is never taken for a new run, which would replace it.
pull() {
  gcloud storage rsync --recursive --quiet "$RUN" "$HERE"
}

copying() {
  local pause
  trap 'kill "$pause" || true; exit' TERM
  while :; do
    sleep "$EVERY" &
    pause=$!
    wait "$pause"
    push || echo "$RUN could not be written; next attempt in $EVERY s"
  done
}

train() {
  local words=() each
  for each in ${SETTINGS[@]+"${SETTINGS[@]}"}; do words+=(--set "$each"); done
  docker run --name derlem --rm --gpus all --ipc host --user 0 --volume "$HERE:/run/derlem" "$IMAGE" \
    torchrun --standalone --nproc-per-node gpu --shutdown-timeout 15 \
    -m derlem train "$CORPUS" --output /run/derlem --preset "$PRESET" ${words[@]+"${words[@]}"}
}

# A run saves upon the signal with which docker stops it.
leave() {
  docker stop --time 15 derlem || true
  push
}

main() {
  timeout 900 bash -c 'until nvidia-smi; do sleep 5; done' # the driver installs itself at the first start
  gcloud auth configure-docker "${IMAGE%%/*}" --quiet
  pull || { sleep 30 && pull; }
  copying &
  trap "kill $! || true" EXIT
  # Stopped, the machine is made again by the group; where training fails, it stays for whoever reads its log.
  train
  kill $!
  wait $! || true
  trap - EXIT
  push
  gcloud compute instance-groups managed resize "$GROUP" --size 0 --region "$REGION" --quiet
}
