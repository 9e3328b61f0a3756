//! Other people's programs: found, run, and quoted when they fail.

use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where a program lies: on the path, or where administrators' programs are although the path lacks
/// them.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let postgres = || {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        versions.sort();
        versions.into_iter().rev()
    };
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(postgres())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The same, or an error that says what is missing.
pub(crate) fn need(name: &str) -> Result<PathBuf> {
    find(name).ok_or_else(|| anyhow!("the program {name} is not installed"))
}

/// A command for a program that must be there, with nothing on its standard input.
pub(crate) fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(need(name)?);
    command.stdin(Stdio::null());
    Ok(command)
}

/// Runs to the end and returns what it printed; a failure quotes its last words.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", name_of(command)))?;
    checked(command, output)
}

/// The same with this text on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", name_of(command)))?;
    let mut stdin = child.stdin.take().context("a piped child has a standard input")?;
    // Written from a thread of its own: a program that answers before it has read everything would
    // block us both.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early says why itself.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output()
    })?;
    checked(command, output)
}

/// Runs a daemon's starter: its output goes to a file, because the daemon would keep a pipe open
/// for ever.
pub(crate) fn start(command: &mut Command, log: &Path) -> Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", name_of(command)))?;
    if !status.success() {
        let text = std::fs::read(log).unwrap_or_default();
        bail!("{} ended with {status}: {}", name_of(command), last_words(&text));
    }
    Ok(())
}

fn checked(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        bail!(
            "{} ended with {}: {}",
            name_of(command),
            output.status,
            last_words(said)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn name_of(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(OsStr::new("?"));
    let first = command
        .get_args()
        .next()
        .map(|a| format!(" {}", a.to_string_lossy()))
        .unwrap_or_default();
    format!("{}{first}", name.to_string_lossy())
}

/// The last 400 characters, on one line.
fn last_words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let skip = line.chars().count().saturating_sub(400);
    line.chars().skip(skip).collect()
}

/// The first line that a program prints of itself.
pub(crate) fn version(name: &str, argument: &str) -> Result<String> {
    let output = command(name)?.arg(argument).output()?;
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8_lossy(&text);
    Ok(text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or(name)
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_the_program() {
        let error = run(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("no such luck") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn input_larger_than_a_pipe_reaches_a_program_that_answers_meanwhile() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(
            run_with_input(&mut Command::new("cat"), &input).unwrap().len(),
            1 << 20
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(
            need("no-such-program-at-all")
                .unwrap_err()
                .to_string()
                .contains("no-such-program-at-all")
        );
    }
}
