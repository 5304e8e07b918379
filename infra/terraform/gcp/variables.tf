variable "project" {
  description = "The project's identifier."
  type        = string
}

variable "region" {
  description = "The region of buckets, workers and driver: data that stays in its region costs no transfer."
  type        = string
  default     = "europe-west1"
}

variable "name" {
  description = "The word that the names of all resources begin with; of buckets, after the project."
  type        = string
  default     = "derlem"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "name: expected 2 to 16 lower-case letters, digits and hyphens, a letter first."
  }
}

variable "input_buckets" {
  description = "Existing buckets that workers may read, beside the corpus bucket."
  type        = set(string)
  default     = []
}

variable "internet" {
  description = "Whether workers may reach the internet, as `derlem commoncrawl` must; a build needs no more than buckets."
  type        = bool
  default     = false
}

variable "worker_image" {
  description = "The image of the workers (infra/docker/worker.Dockerfile), best with its digest."
  type        = string
}

variable "driver_image" {
  description = "The image of the driver: worker.Dockerfile built with EXTRAS='[gcp]'."
  type        = string
}

variable "config" {
  description = "The corpus's TOML file as an object of the corpus bucket; its `output` is a gs:// URL."
  type        = string
  default     = "corpus.toml"
}

variable "until" {
  description = "The last stage of a build."
  type        = string
  default     = "tokenize"
}

variable "workers" {
  description = "Machine type of Dataflow's workers, the most of them, and their disk: a group of shard, 8 GiB, fits on it for each processor."
  type = object({
    machine_type = optional(string, "n2-standard-4")
    most         = optional(number, 50)
    disk_gb      = optional(number, 100)
  })
  default = {}
}

variable "trainer" {
  description = "What trains, on what; null for no GPU. `machines` is 1 while it trains, and the machine sets it to 0 at the end."
  type = object({
    image        = string
    corpus       = string
    run          = string
    preset       = optional(string, "124m")
    settings     = optional(list(string), [])
    machines     = optional(number, 1)
    machine_type = optional(string, "g2-standard-8")
    boot_image   = optional(string, "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2204-nvidia-580")
    disk_gb      = optional(number, 200)
  })
  default = null
  validation {
    condition     = var.trainer == null || can(regex("^[a-z0-9][a-z0-9-]*$", var.trainer.run))
    error_message = "trainer.run: expected lower-case letters, digits and hyphens; the run is gs://RUNS/<run>."
  }
}

variable "budget" {
  description = "Billing account, amount a month in the account's currency, and who is told; null for no alert. It tells, it does not stop."
  type = object({
    billing_account = string
    amount          = number
    email           = string
  })
  default = null
}
