resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:images hold no data of the corpus; the registry's own encryption is enough
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of workers, driver and trainer."

  # A tag means one image for ever: a stage of which half was made by another image under the same name would not be found out.
  docker_config {
    immutable_tags = true
  }
  cleanup_policy_dry_run = false
  cleanup_policies {
    id     = "untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }
}
