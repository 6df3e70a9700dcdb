"""What people see of runs and events: timelines, reasons, alerts, costs."""
