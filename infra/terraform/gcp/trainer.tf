# One GPU machine at the spot price. The group makes it again after preemption; what it had trained is in the bucket of runs.
resource "google_compute_instance_template" "trainer" {
  count        = var.trainer == null ? 0 : 1
  name_prefix  = "${var.name}-trainer-"
  region       = var.region
  machine_type = var.trainer.machine_type # a type that comes with its GPUs: g2, a2, a3

  scheduling {
    provisioning_model          = "SPOT"
    preemptible                 = true
    automatic_restart           = false
    on_host_maintenance         = "TERMINATE" # machines with GPUs cannot move
    instance_termination_action = "STOP"
  }
  disk {
    source_image = var.trainer.boot_image # with docker, its GPU toolkit, gcloud, and a driver that installs itself
    disk_size_gb = var.trainer.disk_gb
    disk_type    = "pd-balanced"
    boot         = true
    auto_delete  = true
  }
  # No access_config: no public address.
  network_interface {
    subnetwork = google_compute_subnetwork.workers.id
  }
  service_account {
    email  = google_service_account.trainer.email
    scopes = ["cloud-platform"] # the account's roles are the limit
  }
  shielded_instance_config {
    enable_secure_boot          = false # the GPU's driver is a module that is built on the machine
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }
  metadata = {
    block-project-ssh-keys = "true"
    enable-oslogin         = "TRUE"
    install-nvidia-driver  = "True"
    startup-script         = join("\n", [local.trainer_settings, file("${path.module}/train.sh"), "main"])
    shutdown-script        = join("\n", [local.trainer_settings, file("${path.module}/train.sh"), "leave"])
  }
  lifecycle {
    create_before_destroy = true
  }
}

locals {
  trainer_settings = var.trainer == null ? "" : <<-EOT
    #!/usr/bin/env bash
    IMAGE='${var.trainer.image}'
    CORPUS='${var.trainer.corpus}'
    RUN='gs://${google_storage_bucket.runs.name}/${var.trainer.run}'
    PRESET='${var.trainer.preset}'
    SETTINGS=(${join(" ", [for each in var.trainer.settings : "'${replace(each, "'", "'\\''")}'"])})
    GROUP='${var.name}-trainer'
    REGION='${var.region}'
  EOT
}

# In whichever zone of the region there is such a machine to be had.
resource "google_compute_region_instance_group_manager" "trainer" {
  count              = var.trainer == null ? 0 : 1
  name               = "${var.name}-trainer"
  region             = var.region
  base_instance_name = "${var.name}-trainer"
  target_size        = var.trainer.machines

  version {
    instance_template = google_compute_instance_template.trainer[0].self_link_unique
  }
  distribution_policy_target_shape = "ANY"
  update_policy {
    type                         = "OPPORTUNISTIC" # a new template is for the next machine, not for the one that trains
    minimal_action               = "REPLACE"
    instance_redistribution_type = "NONE"
    max_surge_fixed              = 0
    max_unavailable_fixed        = 4 # no fewer than the zones of a region
  }
  depends_on = [
    google_storage_bucket_iam_member.roles,
    google_artifact_registry_repository_iam_member.images,
  ]
}
