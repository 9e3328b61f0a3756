//! What can be measured here, and what not, and why.

use crate::case::{self, Tier};
use crate::machine::Machine;
use crate::output::print;
use crate::run::cairn_program;
use crate::system::{self, Setup};
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Prints systems, workloads and rows.
pub(crate) fn list(as_json: bool, cairn: Option<&Path>) -> Result<()> {
    let disk_type = Machine::here(Path::new("/var/tmp")).disk_type;
    let setup = Setup {
        cairn: cairn_program(cairn),
        disk_type,
        ..Setup::default()
    };
    let systems = systems(&setup);
    let cases = cases();
    if as_json {
        return print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&json!({ "systems": systems, "workloads": cases }))?
        ));
    }
    let mut out = String::new();
    writeln!(out, "Systems (* measured by default where they are there):")?;
    for system in &systems {
        let mark = if system["by_default"] == true { '*' } else { ' ' };
        let state = system["version"].as_str().map_or_else(
            || format!("NOT HERE: {}", word(&system["why_not"])),
            str::to_owned,
        );
        writeln!(
            out,
            "{mark} {:<18} {:<28} {state}",
            word(&system["id"]),
            word(&system["title"])
        )?;
    }
    writeln!(out, "\nWorkloads:")?;
    for case in &cases {
        writeln!(
            out,
            "\n  {:<12} [{}] {}",
            word(&case["id"]),
            word(&case["runs"]),
            word(&case["about"])
        )?;
        if let Some(missing) = case["missing"].as_str() {
            writeln!(out, "  {:<12} NOT HERE: {missing}", "")?;
        }
        for row in case["rows"].as_array().into_iter().flatten() {
            writeln!(
                out,
                "    {:<24} {} ({})",
                word(&row["id"]),
                word(&row["title"]),
                word(&row["unit"])
            )?;
        }
    }
    print(&out)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn systems(setup: &Setup) -> Vec<Value> {
    system::all(setup)
        .iter()
        .map(|system| {
            let (about, version) = (system.about(), system.version());
            json!({
                "id": about.id,
                "title": about.title,
                "includes": about.includes,
                "leaves_out": about.leaves_out,
                "sealed": about.sealed,
                "by_default": about.by_default,
                "packages": about.packages,
                "version": version.as_ref().ok(),
                "why_not": version.err().map(|error| format!("{error:#}")),
            })
        })
        .collect()
}

fn cases() -> Vec<Value> {
    case::ALL
        .iter()
        .map(|case| {
            let rows = case
                .rows
                .iter()
                .map(|row| json!({ "id": row.id, "title": row.title, "unit": row.unit.name() }));
            json!({
                "id": case.id,
                "about": case.about,
                "runs": match case.tier {
                    Tier::Core => "always",
                    Tier::More => "full",
                    Tier::Long => "--all, or by name",
                },
                "missing": case.missing().map(|(why, _)| why),
                "rows": rows.collect::<Vec<_>>(),
            })
        })
        .collect()
}
