# What the GPU machine does, after lines that set IMAGE, CORPUS, RUN, PRESET, SETTINGS, GROUP and REGION. `main` trains to the
# end, and `push` is run once more in the half minute between the notice of a preemption and its end.
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

# The latest copy. A folder that was copied in part has no facts.json, and is not looked at.
pull() {
  gcloud storage rsync --recursive --quiet "$RUN" "$HERE" || echo "nothing of $RUN yet"
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
  # docker stops a container on shutdown by SIGTERM, upon which a run saves.
  docker run --rm --gpus all --ipc host --user 0 --stop-timeout 20 --volume "$HERE:/run/derlem" "$IMAGE" \
    torchrun --standalone --nproc-per-node gpu --shutdown-timeout 15 \
    -m derlem train "$CORPUS" --output /run/derlem --preset "$PRESET" ${words[@]+"${words[@]}"}
}

main() {
  gcloud auth configure-docker "${IMAGE%%/*}" --quiet
  pull
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
