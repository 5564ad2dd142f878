"""Runs: trained and tested (run), read (archive), many at once (batch), by section (study, make), settings (tuned)."""
