"""Metering: one row for each call of a model, a voice or an embedding."""
