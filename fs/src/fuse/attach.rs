//! From a directory to a kernel connection: the mount itself.
//!
//! ```text
//!   root:   /dev/fuse opened --mount(2), type fuse.cairn--> the same file
//!   others: fusermount3 (setuid) --opens, mounts, sends the file over a socket--> the file
//! ```
//!
//! mount(2) takes source and type as arguments of their own. fusermount3 takes them among its
//! options, which commas separate: there a comma or a backslash of the source is escaped. Both come
//! to the same line in the table of mounts.

use super::options::{MountFlag, MountOptions};
use rustix::mount::{MountFlags, mount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the table of mounts says, to `df -t`, `findmnt -t` and fstab.
const TYPE: &str = "fuse.cairn";
const SUBTYPE: &str = "cairn";

/// Mounts at `mountpoint`, and answers the connection to the kernel. Nothing is served yet.
///
/// # Errors
/// What mount(2) says, or in fusermount3's words why it refuses.
pub(super) fn attach(mountpoint: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    match attach_directly(mountpoint, options) {
        // Only root may: the setuid helper does it for others, and says best what it lacks.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            attach_by_helper(mountpoint, options)
        }
        attached => attached,
    }
}

fn attach_directly(mountpoint: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let mode = fs::metadata(mountpoint)?.mode();
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    // Numbers and words of our own: nothing here needs an escape.
    let mut data = format!(
        "fd={},rootmode={mode:o},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        user.as_raw(),
        group.as_raw()
    );
    if options.allow_other {
        data.push_str(",allow_other");
    }
    let data = CString::new(data)?;
    mount(&options.fsname, mountpoint, TYPE, flags(options), data.as_c_str())?;
    Ok(device.into())
}

fn flags(options: &MountOptions) -> MountFlags {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, options.read_only);
    for flag in &options.flags {
        flags |= match flag {
            MountFlag::NoSuid => MountFlags::NOSUID,
            MountFlag::NoDev => MountFlags::NODEV,
            MountFlag::NoExec => MountFlags::NOEXEC,
            MountFlag::NoAtime => MountFlags::NOATIME,
            MountFlag::Sync => MountFlags::SYNCHRONOUS,
            MountFlag::DirSync => MountFlags::DIRSYNC,
        };
    }
    flags
}

fn attach_by_helper(mountpoint: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let helper = start_helper(mountpoint, options, theirs)?;
    let received = receive(&ours);
    drop(ours);
    let said = end(helper)?;
    match received? {
        Some(device) => Ok(device),
        None => Err(io::Error::new(io::ErrorKind::PermissionDenied, said)),
    }
}

/// The helper alone has its end of the socket when this returns: its end is the end of what it
/// sends.
fn start_helper(mountpoint: &Path, options: &MountOptions, socket: UnixStream) -> io::Result<Child> {
    let mut helper = Command::new("fusermount3");
    // As its standard input: that is the one file a child gets without a flag that others may see
    // changed.
    helper.stdin(Stdio::from(OwnedFd::from(socket)));
    helper.env("_FUSE_COMMFD", "0").stderr(Stdio::piped());
    helper.arg("-o").arg(helper_options(options));
    let helper = helper.arg("--").arg(mountpoint).spawn();
    helper.map_err(|error| {
        let text = format!("cannot run fusermount3 (install the package fuse3): {error}");
        io::Error::new(error.kind(), text)
    })
}

/// Waits for the helper's end; answers what it said.
fn end(mut helper: Child) -> io::Result<String> {
    let mut said = Vec::new();
    if let Some(stderr) = helper.stderr.take() {
        stderr.take(4096).read_to_end(&mut said)?;
    }
    helper.wait()?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// The file that the helper sends; none if it ends without.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut sent = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let into = &mut [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| recvmsg(socket, into, &mut sent, RecvFlags::CMSG_CLOEXEC))?;
    let device = sent.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok(device)
}

/// What fusermount3 is told: it refuses whatever a user may not ask for.
fn helper_options(options: &MountOptions) -> OsString {
    let mut list = b"subtype=".to_vec();
    list.extend(SUBTYPE.bytes());
    list.extend(b",fsname=");
    list.extend(escape(&options.fsname));
    list.extend(b",default_permissions");
    let words = options.flags.iter().map(|flag| match flag {
        MountFlag::NoSuid => "nosuid",
        MountFlag::NoDev => "nodev",
        MountFlag::NoExec => "noexec",
        MountFlag::NoAtime => "noatime",
        MountFlag::Sync => "sync",
        MountFlag::DirSync => "dirsync",
    });
    let words = words.chain(options.read_only.then_some("ro"));
    for word in words.chain(options.allow_other.then_some("allow_other")) {
        list.push(b',');
        list.extend(word.bytes());
    }
    OsString::from_vec(list)
}

/// fusermount3 ends an option at a comma, unless a backslash stands before it.
fn escape(text: &OsStr) -> impl Iterator<Item = u8> {
    let escaped = |byte: &u8| {
        matches!(byte, b',' | b'\\')
            .then_some(b'\\')
            .into_iter()
            .chain([*byte])
    };
    text.as_bytes().iter().flat_map(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_path_is_an_option() {
        let options = MountOptions {
            fsname: OsStr::from_bytes(b"cairn:/a,ro\\,b\xe9").to_owned(),
            flags: vec![MountFlag::NoExec],
            allow_other: true,
            ..MountOptions::default()
        };
        assert_eq!(
            helper_options(&options).as_bytes(),
            b"subtype=cairn,fsname=cairn:/a\\,ro\\\\\\,b\xe9,default_permissions,noexec,allow_other"
        );
    }
}
