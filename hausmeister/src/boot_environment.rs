//! `hausmeister boot-environment`: makes what PCs load from the network.

use crate::cli::BootEnvironmentArgs;

/// Builds the boot environment.
///
/// # Errors
/// A package is missing or the folder cannot be written.
pub fn run(args: &BootEnvironmentArgs) -> anyhow::Result<()> {
    let report =
        images::bootenv::build(&images::bootenv::Sources::new(&args.packages, &args.agent), &args.out)?;
    println!("{report}");
    Ok(())
}
