//! Databases, driven by their own programs.

use super::kind::{Case, Limit, Row, Tier, Unit, where_bytes_stay};
use crate::payload::Payload;
use crate::program;
use crate::stage::{Sample, Stage, rate};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const fn row(id: &'static str, title: &'static str) -> Row {
    Row {
        id,
        title,
        unit: Unit::PerS,
        limit: Limit::Unknown,
    }
}

/// One row per transaction, fully synchronous.
pub(super) static SQLITE: Case = Case {
    id: "sqlite",
    title: "SQLite",
    about: "the sqlite3 program inserts one row of 100 bytes per transaction with synchronous=FULL, in two journal modes",
    rows: &[
        row("sqlite.wal", "SQLite transactions, write-ahead log, full sync"),
        row(
            "sqlite.delete",
            "SQLite transactions, rollback journal, full sync",
        ),
    ],
    programs: &[("sqlite3", "sqlite3")],
    tier: Tier::Core,
    applies: where_bytes_stay,
    guess_s: |sizes| 1.0 + sizes.wal_transactions as f64 / 1500.0 + sizes.delete_transactions as f64 / 400.0,
    run: |stage| {
        let (wal, delete) = (stage.sizes.wal_transactions, stage.sizes.delete_transactions);
        transactions(stage, "sqlite.wal", "WAL", wal)?;
        transactions(stage, "sqlite.delete", "DELETE", delete)
    },
};

fn sqlite(database: &Path, script: &str) -> Result<String> {
    let mut command = program::command("sqlite3")?;
    program::run_with_input(command.arg("-bail").arg(database), script.as_bytes())
}

fn transactions(stage: &mut Stage, row: &str, mode: &str, count: u64) -> Result<()> {
    let database = stage.dir().join(format!("{mode}.db"));
    let made = sqlite(
        &database,
        &format!("PRAGMA journal_mode={mode};\nCREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);\n"),
    )?;
    ensure!(
        made.trim().eq_ignore_ascii_case(mode),
        "SQLite chose the journal mode {}",
        made.trim()
    );
    // Written before the clock starts, which is to time SQLite and not the drawing of bytes.
    let mut script = String::from("PRAGMA synchronous=FULL;\n");
    let mut payload = Payload::new(12);
    for _ in 0..count {
        script.push_str("BEGIN;INSERT INTO t(v) VALUES(x'");
        for byte in payload.bytes(100) {
            write!(script, "{byte:02x}")?;
        }
        script.push_str("');COMMIT;\n");
    }
    // Else the first transactions would pay for making the database.
    stage.flush()?;
    stage.measure(row, count * 100, |_| {
        rate(count as f64, || sqlite(&database, &script).map(drop))
    })?;
    // After the clock, but always: a rate of rows that are not there counts for nothing.
    let check = sqlite(&database, "PRAGMA integrity_check; SELECT count(*) FROM t;")?;
    ensure!(
        check.split_whitespace().eq(["ok", count.to_string().as_str()]),
        "SQLite says: {}",
        check.trim()
    );
    Ok(())
}

/// A whole server.
pub(super) static POSTGRES: Case = Case {
    id: "postgres",
    title: "PostgreSQL",
    about: "initdb, pgbench -i, then pgbench's TPC-B-like load with 2 and 4 clients, PostgreSQL's defaults",
    rows: &[
        row("postgres.c2", "pgbench -c 2"),
        row("postgres.c4", "pgbench -c 4"),
        Row {
            id: "postgres.load",
            title: "pgbench -i",
            unit: Unit::Seconds,
            limit: Limit::Unknown,
        },
    ],
    programs: &[("postgres", "postgresql"), ("pgbench", "postgresql")],
    tier: Tier::More,
    applies: where_bytes_stay,
    guess_s: |sizes| 8.0 + 2.0 * sizes.postgres_s as f64 + sizes.postgres_scale as f64,
    run: postgres,
};

/// A server on the volume, with its socket elsewhere: sockets are no business of the volume's.
struct Server {
    process: Child,
    data: PathBuf,
    socket: PathBuf,
}

/// PostgreSQL refuses to run as root.
fn as_postgres(name: &str) -> Result<Command> {
    let program = program::need(name)?;
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null());
    Ok(command)
}

/// User and group of `postgres`.
fn postgres_ids() -> Result<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd")?;
    let line = text
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .context("there is no user postgres")?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok((uid, gid)),
        _ => bail!("/etc/passwd makes no sense"),
    }
}

impl Server {
    fn start(stage: &Stage) -> Result<Self> {
        let (data, socket) = (stage.dir().join("pg"), stage.place().file("pg"));
        for dir in [&data, &socket] {
            fs::create_dir(dir)?;
            // PostgreSQL refuses a directory of data that others may enter.
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = postgres_ids()?;
                chown(dir, Some(uid), Some(gid))?;
            }
        }
        program::run(
            as_postgres("initdb")?
                .arg("-D")
                .arg(&data)
                .args(["-A", "trust", "-U", "postgres"]),
        )?;
        let log = fs::File::create(stage.place().file("pg.log"))?;
        let process = as_postgres("postgres")?
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&socket)
            // No address of the network: two runs on one machine do not meet.
            .args(["-p", "54329", "-c", "listen_addresses="])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self {
            process,
            data,
            socket,
        };
        for _ in 0..150 {
            if program::run(server.client("pg_isready")?.arg("-q")).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.process.try_wait()? {
                bail!("postgres ended with {status}: see pg.log");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        server.stop()?;
        bail!("postgres does not answer")
    }

    fn client(&self, name: &str) -> Result<Command> {
        let mut command = as_postgres(name)?;
        command
            .arg("-h")
            .arg(&self.socket)
            .args(["-p", "54329", "-U", "postgres"]);
        Ok(command)
    }

    fn bench(&self, arguments: &[&str]) -> Result<String> {
        program::run(self.client("pgbench")?.args(arguments).arg("postgres"))
    }

    fn stop(&mut self) -> Result<()> {
        let mut command = as_postgres("pg_ctl")?;
        command
            .arg("-D")
            .arg(&self.data)
            .args(["-m", "fast", "-w", "-t", "60", "stop"]);
        let stopped = program::run(&mut command).map(drop);
        if stopped.is_err() {
            self.process.kill()?;
        }
        self.process.wait()?;
        stopped
    }
}

fn postgres(stage: &mut Stage) -> Result<()> {
    let mut server = Server::start(stage)?;
    let outcome = loads(stage, &server);
    // Stopped whatever came of it: a server left behind would keep the volume busy.
    outcome.and(server.stop())
}

fn loads(stage: &mut Stage, server: &Server) -> Result<()> {
    let scale = stage.sizes.postgres_scale.to_string();
    let time = stage.sizes.postgres_s.to_string();
    let loaded = crate::stage::seconds(|| server.bench(&["-i", "-q", "-s", &scale]).map(drop))?;
    for (row, clients) in [("postgres.c2", "2"), ("postgres.c4", "4")] {
        // Else a row would pay for the load before it.
        stage.flush()?;
        stage.measure(row, 0, |_| {
            transactions_per_s(&server.bench(&["-c", clients, "-j", "1", "-T", &time])?)
        })?;
    }
    stage.derive("postgres.load", loaded);
    Ok(())
}

/// What pgbench says of itself. Its latency is a mean, not a median, so it is left where it is.
fn transactions_per_s(text: &str) -> Result<Sample> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .context("pgbench named no rate")?;
    let value: f64 = line.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let text = "latency average = 0.9 ms\ntps = 2231.560000 (without initial connection time)\n";
        assert_eq!(transactions_per_s(text).unwrap().value, 2231.56);
        assert!(transactions_per_s("nothing").is_err());
    }
}
