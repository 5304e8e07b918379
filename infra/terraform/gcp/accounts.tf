# Three accounts, each with what its work needs. The reason of each role stands beside it.

resource "google_service_account" "driver" {
  account_id   = "${var.name}-driver"
  display_name = "derlem: plans builds, starts and watches Dataflow jobs"
}

resource "google_service_account" "worker" {
  account_id   = "${var.name}-worker"
  display_name = "derlem: Dataflow workers"
}

resource "google_service_account" "trainer" {
  account_id   = "${var.name}-trainer"
  display_name = "derlem: GPU machine"
}

locals {
  # On the project: what cannot be given on a resource.
  project_roles = {
    driver = {
      "roles/dataflow.developer" = "start, watch and cancel jobs; reads no data"
      "roles/compute.viewer"     = "Dataflow's client looks up machine types and regions"
    }
    worker = {
      "roles/dataflow.worker" = "take work from the service, report progress and logs"
    }
    trainer = {
      "roles/logging.logWriter"       = "the machine's log"
      "roles/monitoring.metricWriter" = "the machine's load"
    }
  }
  bucket_roles = {
    "driver corpus"    = ["driver", "corpus", "roles/storage.objectUser", "plans, records, manifests and reports; it lists and removes what is left over"]
    "driver temporary" = ["driver", "temporary", "roles/storage.objectUser", "stages the graph of a job"]
    "driver bucket"    = ["driver", "temporary", "roles/storage.legacyBucketReader", "Dataflow's client asks whether deleted objects are kept, and lists the bucket"]
    "worker corpus"    = ["worker", "corpus", "roles/storage.objectUser", "reads inputs, writes the files of its units"]
    "worker temporary" = ["worker", "temporary", "roles/storage.objectUser", "reads the staged graph, writes what the service keeps there"]
    "trainer corpus"   = ["trainer", "corpus", "roles/storage.objectViewer", "reads token shards"]
    "trainer runs"     = ["trainer", "runs", "roles/storage.objectUser", "checkpoints to and from the bucket, old ones removed"]
  }
  buckets = {
    corpus    = google_storage_bucket.corpus.name
    temporary = google_storage_bucket.temporary.name
    runs      = google_storage_bucket.runs.name
  }
  accounts = {
    driver  = google_service_account.driver.member
    worker  = google_service_account.worker.member
    trainer = google_service_account.trainer.member
  }
}

resource "google_project_iam_member" "roles" {
  for_each = merge([
    for account, roles in local.project_roles : { for role, reason in roles : "${account} ${role}" => [account, role] }
  ]...)
  project = var.project
  role    = each.value[1]
  member  = local.accounts[each.value[0]]
}

resource "google_storage_bucket_iam_member" "roles" {
  for_each = local.bucket_roles
  bucket   = local.buckets[each.value[1]]
  role     = each.value[2]
  member   = local.accounts[each.value[0]]
}

# Inputs that lie elsewhere are only read: by the workers, and by the driver, which lists them and plans units.
resource "google_storage_bucket_iam_member" "inputs" {
  for_each = { for pair in setproduct(var.input_buckets, ["driver", "worker"]) : join(" ", pair) => pair }
  bucket   = each.value[0]
  role     = "roles/storage.objectViewer"
  member   = local.accounts[each.value[1]]
}

# Machines fetch their image as their own account.
resource "google_artifact_registry_repository_iam_member" "images" {
  for_each   = toset(["driver", "worker", "trainer"])
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = local.accounts[each.value]
}

# A job runs as the workers' account, so who starts it must be allowed to act as that account, and as no other.
resource "google_service_account_iam_member" "driver_starts_workers" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.driver.member
}

# The GPU machine ends its own bill: it may set the size of managed groups. IAM knows no condition on one group of a project.
resource "google_project_iam_custom_role" "resize" {
  role_id     = "${replace(var.name, "-", "_")}_resize"
  title       = "derlem: set the size of a managed group"
  permissions = ["compute.instanceGroupManagers.get", "compute.instanceGroupManagers.update"]
}

resource "google_project_iam_member" "resize" {
  project = var.project
  role    = google_project_iam_custom_role.resize.name
  member  = google_service_account.trainer.member
}
