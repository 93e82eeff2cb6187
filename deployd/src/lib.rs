//! deployd
