//! hausmeister
fn main() {}
