"""Verification itself: models, features, results."""
