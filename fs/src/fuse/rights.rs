//! Which set-id bits a request leaves: what the kernel knows of its caller, and fuser does not hand
//! on.
//!
//! ```text
//!   file without set-id bits ------------------------------------------> nothing to keep
//!   /proc/PID: in the first user namespace, root, CAP_FSETID ----------> all stay
//!              in the file's group, which may not execute -------------> set-group-id stays
//!              anything else, or not to be found there ----------------> none stays
//! ```
//!
//! The caller waits for the answer, so its pid stays its own meanwhile. Dropping too much costs a
//! `chmod`; keeping too much makes a plain user root. So every doubt drops: a caller of another
//! user than its process (the kernel acts for another), another pid namespace (pid 0) or user
//! namespace, a /proc that is not ours.

use crate::{Attr, SetIdBits};
use fuser::Request;
use std::{fs, process};

const SET_ID: u32 = 0o6000;
/// Bit of CAP_FSETID among the capabilities.
const CAP_FSETID: u32 = 4;
/// The first user namespace has this number on every machine.
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// What the caller of `request` may keep of a file's set-id bits when it changes the file.
pub(super) fn of(request: &Request, file: &Attr) -> SetIdBits {
    if file.mode & SET_ID == 0 || request.pid() == 0 || !is_proc_ours() {
        return SetIdBits::Drop;
    }
    let dir = format!("/proc/{}", request.pid());
    let Ok(status) = fs::read_to_string(format!("{dir}/status")) else {
        return SetIdBits::Drop;
    };
    let first =
        fs::read_link(format!("{dir}/ns/user")).is_ok_and(|is| is.as_os_str() == FIRST_USER_NAMESPACE);
    Process::parse(&status).map_or(SetIdBits::Drop, |process| {
        process.keeps((request.uid(), request.gid()), file.gid, first)
    })
}

/// Whether /proc numbers processes as this one is numbered.
fn is_proc_ours() -> bool {
    fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == process::id().to_string().as_str())
}

/// What /proc/PID/status says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    /// Those it acts as on filesystems.
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

impl Process {
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, and that of filesystems.
        let acting = |name| field(name)?.split_whitespace().nth(3)?.parse().ok();
        let groups = field("Groups:")?.split_whitespace().map(str::parse);
        Some(Self {
            uid: acting("Uid:")?,
            gid: acting("Gid:")?,
            groups: groups.collect::<Result<_, _>>().ok()?,
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }

    fn keeps(&self, (uid, gid): (u32, u32), file_gid: u32, in_first_namespace: bool) -> SetIdBits {
        if (self.uid, self.gid) != (uid, gid) {
            SetIdBits::Drop
        } else if uid == 0 && in_first_namespace && self.capabilities >> CAP_FSETID & 1 == 1 {
            SetIdBits::Keep
        } else if gid == file_gid || self.groups.contains(&file_gid) {
            SetIdBits::DropForMember
        } else {
            SetIdBits::Drop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "Name:\tcp\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 7 \nCapEff:\t000001ffffffffff\n";

    fn root() -> Process {
        Process::parse(ROOT).unwrap()
    }

    #[test]
    fn root_keeps_set_id_bits_only_with_the_capability_and_in_the_first_namespace() {
        let keeps = |process: &Process, first| process.keeps((0, 0), 5, first);
        assert_eq!(keeps(&root(), true), SetIdBits::Keep);
        assert_eq!(keeps(&root(), false), SetIdBits::Drop);
        let without = Process::parse(&ROOT.replace("ffffffffff", "ffffffffef")).unwrap();
        assert_eq!(keeps(&without, true), SetIdBits::Drop);
    }

    #[test]
    fn only_root_keeps_all_and_only_members_keep_the_group() {
        let user = ROOT.replace("Uid:\t0\t0\t0\t0", "Uid:\t0\t0\t0\t9");
        let user = Process::parse(&user).unwrap();
        assert_eq!(user.keeps((9, 0), 5, true), SetIdBits::Drop);
        assert_eq!(user.keeps((9, 0), 7, true), SetIdBits::DropForMember);
        assert_eq!(user.keeps((9, 0), 0, true), SetIdBits::DropForMember);
    }

    #[test]
    fn a_request_in_the_name_of_another_keeps_nothing() {
        assert_eq!(root().keeps((9, 0), 0, true), SetIdBits::Drop);
        assert_eq!(root().keeps((0, 9), 0, true), SetIdBits::Drop);
    }

    #[test]
    fn what_says_too_little_is_no_process() {
        for gone in ["Uid:", "Gid:", "Groups:", "CapEff:"] {
            assert_eq!(Process::parse(&ROOT.replace(gone, "")), None, "{gone}");
        }
        assert_eq!(Process::parse(&ROOT.replace("0 7", "0 x")), None);
    }

    #[test]
    fn this_process_is_found_where_it_is_looked_for() {
        assert!(is_proc_ours());
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!(
            Process::parse(&status).unwrap().uid,
            rustix::process::geteuid().as_raw()
        );
    }
}
