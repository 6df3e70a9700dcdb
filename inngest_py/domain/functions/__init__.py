"""Functions: their configurations, as SDKs send them and operators override them, checked."""
