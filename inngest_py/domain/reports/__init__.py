"""What people are told: timelines, reasons, alerts, costs."""
