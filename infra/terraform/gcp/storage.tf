# Three buckets by how long their content lives. Access is by roles alone, never by object, and never public.

# The corpus: made anew from its inputs if need be, at a price.
resource "google_storage_bucket" "corpus" {
  #checkov:skip=CKV_GCP_62:access logs of a bucket that only three service accounts may read are not worth their objects
  name                        = "${var.project}-${var.name}-corpus"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # An overwritten or deleted object can be had back for a week: a wrong `output` costs no corpus.
  versioning {
    enabled = true
  }
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 7
    }
    action {
      type = "Delete"
    }
  }
  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }
}

# What Dataflow stages for a job: of no use once the job has ended.
resource "google_storage_bucket" "temporary" {
  #checkov:skip=CKV_GCP_62:see the corpus bucket
  #checkov:skip=CKV_GCP_78:versions of temporary objects would only be paid for
  name                        = "${var.project}-${var.name}-temporary"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  # Deleted is deleted: without this each temporary object is paid for seven days longer.
  soft_delete_policy {
    retention_duration_seconds = 0
  }
  # A job runs for days at most.
  lifecycle_rule {
    condition {
      age = 14
    }
    action {
      type = "Delete"
    }
  }
}

# Runs of the trainer: copies of their checkpoints, which the run prunes itself.
resource "google_storage_bucket" "runs" {
  #checkov:skip=CKV_GCP_62:see the corpus bucket
  #checkov:skip=CKV_GCP_78:versions of pruned checkpoints would be most of the bill; the latest are kept by name
  name                        = "${var.project}-${var.name}-runs"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  soft_delete_policy {
    retention_duration_seconds = 0
  }
  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }
}
