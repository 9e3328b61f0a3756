//! The program `cairn-store`: serves the sealed blocks of a directory to clients on this machine.
//!
//! ```text
//!   cairn-store serve DIR --socket PATH    listen.rs: a socket in the filesystem, for the same user
//!   cairn-store serve DIR --handed         connections come over the socket at standard input; ends with it
//!      sandbox.rs: all rights but those to DIR and to connections are given up
//!      a thread for each connection; directory.rs: DIR is opened with the first hello
//! ```
//!
//! **Invariant:** no key and no cipher is in this program. `tests/tests/modules` looks.

mod directory;
mod listen;
mod sandbox;

use anyhow::{Context, Result};
use cairn_wire::{Server, ServerOptions};
use clap::{Args, Parser, Subcommand};
use directory::Directory;
use listen::Lanes;
use sandbox::Demand;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

#[derive(Parser)]
#[command(
    name = "cairn-store",
    version,
    about = "Serves the sealed blocks of a Cairn volume"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one volume until SIGTERM
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Directory of the store, which `cairn create` has made
    dir: PathBuf,
    #[command(flatten)]
    from: From,
    /// Write nothing, and refuse what would
    #[arg(long)]
    read_only: bool,
    /// Memory for index and caches, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    memory: u32,
    /// Where the kernel cannot confine this process to DIR
    #[arg(long, value_name = "DEMAND", default_value = "try")]
    sandbox: Demand,
}

/// Where connections come from.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct From {
    /// Listen there; only this user and root may connect
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Take connections that are handed over the socket at standard input, until it ends
    #[arg(long)]
    handed: bool,
}

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let Command::Serve(serve) = Line::parse().command;
    let memory_bytes = (serve.memory as usize) << 20;
    let options = ServerOptions {
        boot: boot()?,
        ..ServerOptions::default()
    };
    // From here on a signal that comes is not lost.
    let signals = Signals::new([SIGTERM, SIGINT]).context("cannot wait for signals")?;
    let listener = serve.from.socket.as_deref().map(listen::bind).transpose()?;
    // The last step with one thread, and before anything of the store is read.
    sandbox::enter(&serve.dir, !serve.read_only, memory_bytes, serve.sandbox)?;
    let volumes = Directory::new(serve.dir, serve.read_only, memory_bytes);
    let server = Arc::new(Server::new(Box::new(volumes), options));
    let (end, ended) = channel();
    end_on_signals(signals, end.clone())?;
    let lanes = Lanes::new(&server);
    match listener {
        Some(listener) => spawn("accept", move || listen::accept(&lanes, &listener))?,
        None => {
            let control = std::io::stdin().as_fd().try_clone_to_owned();
            let control = control.context("standard input is no socket")?;
            spawn("accept", move || {
                listen::take(&lanes, &control);
                // The main thread may have ended already.
                let _ = end.send(());
            })?;
        }
    }
    if let Some(socket) = &serve.from.socket {
        // For scripts, which wait for it.
        println!("listening at {}", socket.display());
    }
    // An error would say that all senders have gone, which is an end as well.
    let _ = ended.recv();
    server.drain();
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(run).context("cannot start a thread")?;
    Ok(())
}

fn end_on_signals(mut signals: Signals, end: Sender<()>) -> Result<()> {
    spawn("signals", move || {
        for _ in signals.forever() {
            if end.send(()).is_err() {
                return;
            }
        }
    })
}

/// What tells this start of the machine from others.
fn boot() -> Result<[u8; 16]> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).with_context(|| format!("{path} holds no id"))?;
    Ok(number.to_be_bytes())
}
