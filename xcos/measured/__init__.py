"""What was measured of a model and stands in its file: calibration, thresholds by `whole`, the truth of its cells."""
