# The driver of a build: one long process that plans, starts a Dataflow job a stage, watches it and writes manifests. No Flex
# Template: that launches one graph, and a build is several. Start it with `gcloud run jobs execute derlem-driver`; after a
# week, the longest that the service allows, it ends, and resumes when it is executed again.
resource "google_cloud_run_v2_job" "driver" {
  name                = "${var.name}-driver"
  location            = var.region
  deletion_protection = false

  template {
    task_count  = 1
    parallelism = 1
    template {
      service_account = google_service_account.driver.email
      timeout         = "604800s" # a week, the service's longest
      max_retries     = 2         # a driver that was killed is started again, and joins the job that it had started

      containers {
        image   = var.driver_image
        command = ["derlem"]
        args = [
          "build",
          "/corpus/${var.config}",
          "--until=${var.until}",
          "--",
          "--runner=DataflowRunner",
          "--project=${var.project}",
          "--region=${var.region}",
          "--temp_location=gs://${google_storage_bucket.temporary.name}/tmp",
          "--staging_location=gs://${google_storage_bucket.temporary.name}/staging",
          "--sdk_container_image=${var.worker_image}",
          "--service_account_email=${google_service_account.worker.email}",
          "--subnetwork=regions/${var.region}/subnetworks/${google_compute_subnetwork.workers.name}",
          "--no_use_public_ips",
          "--machine_type=${var.workers.machine_type}",
          "--max_num_workers=${var.workers.most}",
          "--disk_size_gb=${var.workers.disk_gb}",
        ]
        resources {
          limits = {
            cpu    = "4"
            memory = "16Gi"
          }
        }
        volume_mounts {
          name       = "corpus"
          mount_path = "/corpus"
        }
      }
      volumes {
        name = "corpus"
        gcs {
          bucket    = google_storage_bucket.corpus.name
          read_only = true
        }
      }
    }
  }
  depends_on = [
    google_project_iam_member.roles,
    google_storage_bucket_iam_member.roles,
    google_artifact_registry_repository_iam_member.images,
  ]
}
