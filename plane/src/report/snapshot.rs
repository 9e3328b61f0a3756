//! What `snapshot` tells of holds and differences.

use cairn_fs::{Difference, Differs, Hold, Kind};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A reason to keep a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldReport {
    /// What it is called (bytes that are no UTF-8 are replaced).
    pub(crate) tag: String,
    /// Seconds since 1970.
    pub(crate) since: i64,
}

impl From<&Hold> for HoldReport {
    fn from(hold: &Hold) -> Self {
        Self {
            tag: String::from_utf8_lossy(hold.tag.as_bytes()).into_owned(),
            since: hold.since.parts().0,
        }
    }
}

/// In which way a name differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Added,
    Removed,
    Modified,
    Renamed,
}

/// A name that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DifferenceReport {
    change: Change,
    /// From the volume's root, with `/` first.
    #[serde(with = "crate::path")]
    path: PathBuf,
    /// Of what was renamed: the path before.
    #[serde(with = "crate::path", default, skip_serializing_if = "Option::is_none")]
    from: Option<PathBuf>,
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `char_device` or `block_device`.
    kind: String,
}

impl From<Difference> for DifferenceReport {
    fn from(found: Difference) -> Self {
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        let (change, from) = match found.what {
            Differs::Added => (Change::Added, None),
            Differs::Removed => (Change::Removed, None),
            Differs::Modified => (Change::Modified, None),
            Differs::Renamed { from } => (Change::Renamed, Some(path(from))),
        };
        let kind = match found.kind {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
            Kind::Fifo => "fifo",
            Kind::Socket => "socket",
            Kind::CharDevice => "char_device",
            Kind::BlockDevice => "block_device",
        };
        Self {
            change,
            path: path(found.path),
            from,
            kind: kind.into(),
        }
    }
}

impl DifferenceReport {
    /// A line for people and for `cut -f`.
    pub(crate) fn line(&self) -> String {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Modified => 'M',
            Change::Renamed => 'R',
        };
        let slash = match self.kind.as_str() {
            "directory" if self.path != Path::new("/") => "/",
            _ => "",
        };
        let path = printable(&self.path);
        match &self.from {
            Some(from) => format!("{sign}\t{}{slash} -> {path}{slash}", printable(from)),
            None => format!("{sign}\t{path}{slash}"),
        }
    }
}

/// A path on one line: control characters, backslashes and what is no UTF-8 as octal numbers.
fn printable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() || c == '\\' {
                true => c.to_string().bytes().for_each(|byte| text.push_str(&octal(byte))),
                false => text.push(c),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| text.push_str(&octal(*byte)));
    }
    text
}

fn octal(byte: u8) -> String {
    format!("\\{byte:03o}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(what: Differs, path: &[u8], kind: Kind) -> DifferenceReport {
        DifferenceReport::from(Difference {
            what,
            path: path.to_vec(),
            kind,
        })
    }

    #[test]
    fn a_difference_is_one_line_whatever_the_name_is() {
        let line = |what, path: &[u8], kind| report(what, path, kind).line();
        assert_eq!(line(Differs::Added, b"/dir", Kind::Directory), "+\t/dir/");
        assert_eq!(line(Differs::Modified, b"/", Kind::Directory), "M\t/");
        let from = b"/a b".to_vec();
        let moved = Differs::Renamed { from };
        assert_eq!(
            line(moved, "/\u{e4}".as_bytes(), Kind::File),
            "R\t/a b -> /\u{e4}"
        );
        assert_eq!(
            line(Differs::Removed, b"/\n\\\xff", Kind::File),
            "-\t/\\012\\134\\377"
        );
    }

    #[test]
    fn a_difference_in_json_has_the_paths_as_they_are() {
        let found = report(Differs::Added, b"/caf\xe9", Kind::Fifo);
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(
            json,
            r#"{"change":"added","path":[47,99,97,102,233],"kind":"fifo"}"#
        );
        assert_eq!(serde_json::from_str::<DifferenceReport>(&json).unwrap(), found);
    }
}
