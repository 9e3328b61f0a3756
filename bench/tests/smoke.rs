//! The program as a whole, on a plain directory: it runs, resumes, reports and compares, and leaves
//! nothing behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cairn-bench"))
        .args(arguments)
        .output()
        .expect("cairn-bench starts")
}

fn succeed(arguments: &[&str]) -> String {
    let output = bench(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn show(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn a_tiny_run_on_a_plain_directory_ends_in_a_report() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let (work, out) = (temp.path().join("work"), temp.path().join("out"));
    let args = [
        "run",
        "--depth",
        "tiny",
        "--systems",
        "disk",
        "--only",
        "small,append",
        "--rounds",
        "2",
    ];
    succeed(&[&args[..], &["--dir", show(&work), "--out", show(&out)]].concat());
    let cells = || fs::read_dir(out.join("cells")).expect("cells").count();
    assert_eq!(cells(), 4, "two workloads, two rounds");
    let report = fs::read_to_string(out.join("report.md")).expect("a report");
    assert!(
        report.contains("create files of 4 KiB") && report.contains(" ± "),
        "{report}"
    );
    assert!(!work.join("volume").exists(), "nothing is left behind");

    // What is there is not measured again; what is missing is.
    let kept = out.join("cells/small.disk.1.json");
    let before = fs::metadata(&kept).expect("a cell").modified().expect("a time");
    fs::remove_file(out.join("cells/append.disk.2.json")).expect("a cell");
    succeed(&["run", "--resume", show(&out), "--dir", show(&work)]);
    assert_eq!(cells(), 4);
    assert_eq!(
        fs::metadata(&kept).expect("a cell").modified().expect("a time"),
        before
    );

    let text = succeed(&["compare", show(&out), show(&out)]);
    assert!(text.contains("small.create") && text.contains("1.00×"), "{text}");
    let again = bench(&[&args[..], &["--dir", show(&work), "--out", show(&out)]].concat());
    assert!(!again.status.success(), "a run is never overwritten");
}

#[test]
fn the_list_names_systems_and_says_why_some_are_not_here() {
    let text = succeed(&["list", "--json", "--cairn", "/nonexistent/cairn"]);
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let systems = list["systems"].as_array().expect("systems");
    let cairn = systems
        .iter()
        .find(|system| system["id"] == "cairn")
        .expect("cairn is a system");
    assert!(cairn["version"].is_null());
    assert!(
        cairn["why_not"]
            .as_str()
            .expect("a reason")
            .contains("/nonexistent/cairn")
    );
}

#[test]
fn a_run_without_anything_to_measure_says_so() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let (work, out) = (temp.path().join("work"), temp.path().join("out"));
    let output = bench(&[
        "run",
        "--depth",
        "tiny",
        "--systems",
        "cairn",
        "--only",
        "small",
        "--cairn",
        "/nonexistent/cairn",
        "--dir",
        show(&work),
        "--out",
        show(&out),
    ]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("/nonexistent/cairn"),
        "{text}"
    );
}
