//! Brings what is missing, as far as apt can, and never without being asked.

use crate::program;
use anyhow::{Result, ensure};
use std::process::Command;

/// Installs Debian packages; what cannot be had is named, the others are installed all the same.
pub(crate) fn install(packages: &[&str]) -> Result<Vec<String>> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "--install needs root: apt install {}",
        packages.join(" ")
    );
    let apt = |arguments: &[&str]| -> Result<String> {
        let mut command: Command = program::command("apt-get")?;
        program::run(
            command
                .env("DEBIAN_FRONTEND", "noninteractive")
                .arg("-qq")
                .args(arguments),
        )
    };
    apt(&["update"])?;
    let mut failed = Vec::new();
    for package in packages {
        eprintln!("installing {package}");
        if let Err(error) = apt(&["install", "-y", "--no-install-recommends", package]) {
            failed.push(format!("{package}: {error:#}"));
        }
    }
    Ok(failed)
}
