# One network without a way in: no machine has a public address, and Google's own services are reached privately.

resource "google_compute_network" "network" {
  name                    = var.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "workers" {
  name          = "${var.name}-workers"
  region        = var.region
  network       = google_compute_network.network.id
  ip_cidr_range = "10.128.0.0/20" # 4,092 machines
  # Buckets, registry and Dataflow without the internet.
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Dataflow's workers talk to each other on these ports, and carry this tag.
resource "google_compute_firewall" "workers" {
  name        = "${var.name}-workers"
  network     = google_compute_network.network.id
  direction   = "INGRESS"
  source_tags = ["dataflow"]
  target_tags = ["dataflow"]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }
}

resource "google_compute_router" "router" {
  count   = var.internet ? 1 : 0
  name    = var.name
  region  = var.region
  network = google_compute_network.network.id
}

resource "google_compute_router_nat" "nat" {
  count                              = var.internet ? 1 : 0
  name                               = var.name
  router                             = google_compute_router.router[0].name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}
