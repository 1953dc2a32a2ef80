"""What several tests draw, build or expect; tests import it, and never one another."""
