//! The words of mount(8): what fstab and `mount -t cairn` say, as the command line of
//! `cairn mount`.
//!
//! ```text
//!  mount /mnt/data --fstab--> /sbin/mount.cairn /srv/store /mnt/data -o rw,nofail,key-file=/etc/cairn/volume.key
//!                             = cairn mount -o rw -o nofail --key-file ... --fsname /srv/store -- /srv/store /mnt/data
//! ```
//!
//! `make install` makes `mount.cairn` and `mount.fuse.cairn` other names of `cairn`. Each option of
//! `cairn mount` is a word, with its value behind `=`; a comma in a value is written `\,`, a
//! backslash `\\`.

use crate::cli::Cli;
use crate::cli::values::mount_word;
use clap::{Arg, CommandFactory};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Options of `cairn mount` that make no sense in fstab: mount(8) waits for the helper to end.
const NOT_HERE: [&str; 5] = ["foreground", "daemon-child", "options", "json", "help"];

/// What a line of arguments asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// To be parsed as `cairn`'s.
    Cairn(Vec<OsString>),
    /// `mount -f`: everything but the mount itself.
    Nothing,
}

/// What mount(8) asks its helper for.
#[derive(Default)]
struct Asked {
    places: Vec<OsString>,
    words: Vec<OsString>,
    fake: bool,
    sloppy: bool,
}

/// The command line behind `line`, whose first word is the name that this program was called by.
///
/// # Errors
/// What mount(8) asked for that is not known, in words.
pub(crate) fn read(line: impl IntoIterator<Item = OsString>) -> Result<Line, String> {
    let line: Vec<OsString> = line.into_iter().collect();
    let name = line.first().map(Path::new).and_then(Path::file_name);
    let is_helper = name.is_some_and(|name| name == "mount.cairn" || name == "mount.fuse.cairn");
    if !is_helper {
        return Ok(Line::Cairn(line));
    }
    let asked = Asked::read(line.into_iter().skip(1))?;
    match asked.fake {
        true => Ok(Line::Nothing),
        false => asked.line().map(Line::Cairn),
    }
}

impl Asked {
    /// `SOURCE DIR [-sfnvrw] [-N NAMESPACE] [-t TYPE] [-o WORD,...]`
    fn read(mut line: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut asked = Self::default();
        while let Some(part) = line.next() {
            let mut behind = || line.next().ok_or("mount(8) gave an option without its value");
            match part.as_bytes() {
                b"-o" => asked.words.extend(split(&behind()?)),
                // The type is ours, and the namespace is where this process is already.
                b"-t" | b"-N" => drop(behind()?),
                [b'-', letters @ ..] if !letters.is_empty() => asked.letters(letters)?,
                _ => asked.places.push(part),
            }
        }
        match asked.places.len() {
            2 => Ok(asked),
            _ => Err("usage: mount.cairn STORE DIR [-o OPTION,...], as mount(8) calls it".into()),
        }
    }

    fn letters(&mut self, letters: &[u8]) -> Result<(), String> {
        for letter in letters {
            match letter {
                b'f' => self.fake = true,
                b's' => self.sloppy = true,
                b'r' => self.words.push("ro".into()),
                b'w' => self.words.push("rw".into()),
                // No table of mounts is written in any case, and there is nothing to be verbose
                // about.
                b'n' | b'v' => {}
                other => return Err(format!("mount.cairn knows no option -{}", char::from(*other))),
            }
        }
        Ok(())
    }

    /// The same as a command line of `cairn`.
    fn line(self) -> Result<Vec<OsString>, String> {
        let cairn = Cli::command();
        let mount = cairn
            .find_subcommand("mount")
            .ok_or("there is no `cairn mount`")?;
        let mut line: Vec<OsString> = ["cairn", "mount"].map(OsString::from).into();
        // What `mount -a` compares with the first field of fstab, to see whether it is mounted.
        let mut source = self.places.first().cloned();
        for word in self.words {
            let (name, value) = halves(&word);
            let known = mount.get_arguments().find(|arg| is_named(arg, name));
            match (known, value) {
                (Some(arg), value) => {
                    line.push(OsString::from_vec([b"--", name].concat()));
                    let takes = arg.get_action().takes_values();
                    if takes != value.is_some() {
                        let word = word.display();
                        return Err(format!("`{word}`: an option with a value is written NAME=VALUE"));
                    }
                    line.extend(value.map(|value| OsStr::from_bytes(value).to_owned()));
                    source = source.filter(|_| name != b"fsname");
                }
                (None, _) => match mount_word(&word.to_string_lossy()) {
                    Err(_) if self.sloppy => {}
                    Err(why) => return Err(why),
                    Ok(_) => line.extend(["-o".into(), word]),
                },
            }
        }
        line.extend(source.into_iter().flat_map(|source| ["--fsname".into(), source]));
        line.push("--".into());
        line.extend(self.places);
        Ok(line)
    }
}

fn is_named(arg: &Arg, name: &[u8]) -> bool {
    let long = arg.get_long().filter(|long| !NOT_HERE.contains(long));
    long.is_some_and(|long| long.as_bytes() == name)
}

/// `NAME` or `NAME=VALUE`.
fn halves(word: &OsStr) -> (&[u8], Option<&[u8]>) {
    let bytes = word.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    }
}

/// Words between commas; a backslash takes the comma or the backslash behind it as it is.
fn split(words: &OsStr) -> Vec<OsString> {
    let (mut list, mut word) = (Vec::new(), Vec::new());
    let mut rest = words.as_bytes().iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' if matches!(rest.peek(), Some(b',' | b'\\')) => word.extend(rest.next()),
            b',' => list.push(std::mem::take(&mut word)),
            byte => word.push(byte),
        }
    }
    list.push(word);
    let list = list.into_iter().filter(|word| !word.is_empty());
    list.map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::mount::MountArgs;
    use clap::Parser;

    fn line(text: &[u8]) -> Vec<OsString> {
        let parts = text.split(|byte| *byte == b' ');
        parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
    }

    fn mount(text: &[u8]) -> MountArgs {
        let Ok(Line::Cairn(line)) = read(line(text)) else {
            unreachable!("it is a line that mount(8) writes");
        };
        match Cli::try_parse_from(line).unwrap().command {
            Command::Mount(args) => *args,
            _ => unreachable!("it mounts"),
        }
    }

    #[test]
    fn the_words_of_fstab_say_what_the_options_of_the_command_say() {
        let args = mount(
            b"/sbin/mount.cairn /srv/store /mnt/data -n -v -o rw,noexec,nofail,_netdev,noauto,x-systemd.automount,\
              user=me,comment=a=b,key-file=/etc/a\\,b\\\\c,memory=300M,no-allow-other,anchor=file:/var/caf\xe9 -t fuse.cairn",
        );
        assert_eq!((args.store, args.dir), ("/srv/store".into(), "/mnt/data".into()));
        assert_eq!(args.key.key_file, Some(r"/etc/a,b\c".into()));
        assert_eq!((args.memory, args.no_allow_other), (300 << 20, true));
        assert_eq!(args.fsname, Some("/srv/store".into()));
        let path = OsStr::from_bytes(b"/var/caf\xe9");
        assert_eq!(
            args.anchor.anchor,
            Some(crate::cli::anchor::Spec::File(path.into()))
        );
        let args = mount(b"mount.fuse.cairn a b -r -o fsname=mine,defaults");
        assert!(args.is_read_only());
        assert_eq!(args.fsname, Some("mine".into()));
    }

    #[test]
    fn what_is_not_known_is_refused_unless_mount_says_to_be_sloppy() {
        let say = |text: &[u8]| read(line(text));
        assert!(say(b"mount.cairn a b -o bogus").is_err());
        assert!(say(b"mount.cairn a b -o remount,ro").is_err());
        assert!(say(b"mount.cairn a b -o key-file").is_err());
        assert!(say(b"mount.cairn a b -o foreground").is_err());
        assert!(say(b"mount.cairn a").is_err());
        assert!(say(b"mount.cairn a b -s -o bogus").is_ok());
        assert_eq!(say(b"mount.cairn a b -f"), Ok(Line::Nothing));
        let other = line(b"cairn mount a b");
        assert_eq!(read(other.clone()), Ok(Line::Cairn(other)));
    }
}
