terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
  # Budgets are billed to, and allowed for, the project that asks.
  billing_project       = var.project
  user_project_override = true
}

# What the resources here, and the jobs, call.
resource "google_project_service" "services" {
  for_each = toset([
    "artifactregistry", "billingbudgets", "cloudresourcemanager", "compute", "dataflow", "iam", "logging", "monitoring", "run", "storage",
  ])
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}
