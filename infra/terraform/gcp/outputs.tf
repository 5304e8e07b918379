output "corpus" {
  description = "Where a corpus's TOML file and its `output` belong."
  value       = "gs://${google_storage_bucket.corpus.name}"
}

output "images" {
  description = "What the names of images begin with."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.name}"
}

output "build" {
  description = "The command that runs a build."
  value       = "gcloud run jobs execute ${google_cloud_run_v2_job.driver.name} --project ${var.project} --region ${var.region}"
}

output "beam_options" {
  description = "What a driver elsewhere gives after `derlem build … --`."
  value       = slice(local.driver_arguments, index(local.driver_arguments, "--") + 1, length(local.driver_arguments))
}

locals {
  driver_arguments = google_cloud_run_v2_job.driver.template[0].template[0].containers[0].args
}
