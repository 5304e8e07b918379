# Mail at half, nine tenths and all of the amount, and when the month is forecast to pass it. Nothing is stopped.
resource "google_monitoring_notification_channel" "budget" {
  count        = var.budget == null ? 0 : 1
  display_name = "derlem: budget"
  type         = "email"
  labels       = { email_address = var.budget.email }
}

resource "google_billing_budget" "budget" {
  count           = var.budget == null ? 0 : 1
  billing_account = var.budget.billing_account
  display_name    = "derlem"

  budget_filter {
    projects = ["projects/${var.project}"]
  }
  amount {
    specified_amount {
      units = tostring(floor(var.budget.amount))
    }
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }
  all_updates_rule {
    monitoring_notification_channels = [google_monitoring_notification_channel.budget[0].id]
    disable_default_iam_recipients   = false
  }
}
