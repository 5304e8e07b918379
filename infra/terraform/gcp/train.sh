# What the GPU machine does, after lines that set IMAGE, CORPUS, RUN, PRESET, SETTINGS, GROUP and REGION. `main` trains to the
# end; `leave` is run in the half minute between the notice of a preemption and its end. The run's folder is the machine's, and
# is lost with it: what counts is its copy in the bucket, from which the next machine starts (checkpoint.mirror).
set -euo pipefail

train() {
  local words=(--set "checkpoint.mirror=$RUN") each
  for each in ${SETTINGS[@]+"${SETTINGS[@]}"}; do words+=(--set "$each"); done
  docker run --name derlem --rm --gpus all --ipc host "$IMAGE" \
    torchrun --standalone --nproc-per-node gpu --shutdown-timeout 25 \
    -m derlem train "$CORPUS" --output /tmp/run --preset "$PRESET" "${words[@]}"
}

main() {
  timeout 900 bash -c 'until nvidia-smi; do sleep 5; done' # the driver installs itself at the first start
  gcloud auth configure-docker "${IMAGE%%/*}" --quiet
  # Stopped, the machine is made again by the group; where training fails, it stays for whoever reads its log.
  train
  gcloud compute instance-groups managed resize "$GROUP" --size 0 --region "$REGION" --quiet
}

# A run saves, and copies what it saved, upon the signal with which docker stops it.
leave() {
  docker stop --time 25 derlem
}
