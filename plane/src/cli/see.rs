//! What is asked of volumes and mounts to see how they are.

use crate::cli::place::PlaceArgs;
use crate::cli::values::{Limit, limit, time};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Mount point or store
    pub(crate) place: PathBuf,
    /// Longest wait for the daemon
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
}

/// `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Longest wait for the daemons, all together
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) timeout: Duration,
}

/// `quota`.
#[derive(Debug, Args)]
pub(crate) struct QuotaArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Bytes, or `none`; without it the limit stays
    #[arg(long, value_name = "SIZE", value_parser = limit)]
    pub(crate) bytes: Option<Limit>,
    /// Files and directories, or `none`; without it the limit stays
    #[arg(long, value_name = "COUNT", value_parser = limit)]
    pub(crate) inodes: Option<Limit>,
}
