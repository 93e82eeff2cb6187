//! End-to-end tests and rules about the code; everything is in `tests/tests`.
