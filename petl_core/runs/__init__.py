"""Runs: trained and tested (run), read (archive), side by side (batch), by section of study.yaml (study, make, tuned)."""
