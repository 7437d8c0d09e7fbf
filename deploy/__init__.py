"""Sets up and runs the whole stack on one machine: what `make up`, `down`, `status` and the tests call."""
