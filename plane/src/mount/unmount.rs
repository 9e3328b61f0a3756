//! `cairn umount`: from a mount to a volume that is committed and closed.
//!
//! ```text
//!  pages of the kernel handed over -> unmounted here -> gone from every namespace -> committed, closed -> daemon ended
//!                                                   `-- a copy elsewhere: its process, and after a while code 6
//! ```
//!
//! **Invariant:** only a mount of Cairn is touched. Whatever this ends with, it has said in what
//! state the mount is.

use crate::cli::mount::UmountArgs;
use crate::error::{Error, Result};
use crate::mount::control::{Answer, Client, Request};
use crate::mount::mountpoint::{self, Entry, Holder, Unmount};
use crate::mount::state::{self, Record};
use crate::output::{Output, Progress};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A mount that nothing holds is gone sooner.
const USUAL: Duration = Duration::from_secs(1);

/// `umount`.
pub(crate) fn umount(args: &UmountArgs, out: &Output) -> Result<()> {
    let record = Record::find(&args.dir)?;
    let dir = record
        .as_ref()
        .map_or_else(|| state::resolve(&args.dir), |record| record.mountpoint.clone());
    let mounted = mountpoint::cairn_at(&dir)?;
    // A record that is of another mount than the one that is there tells nothing of it.
    let record = record.filter(|record| {
        mounted
            .as_ref()
            .is_none_or(|entry| record.device.is_none() || record.is_of(&entry.device))
    });
    match (record.map(Client::of), mounted) {
        (Some(Ok(client)), mounted) => Unmounting { args, dir, client }.run(mounted, out),
        // What a killed daemon left, or a mount of another user: take it away all the same.
        (_, Some(entry)) => {
            let how = match args.lazy || args.force {
                true => Unmount::Lazy,
                false => Unmount::Whole,
            };
            mountpoint::unmount_device(&dir, Some(&entry.device), how)?;
            out.done("unmounted", &dir)
        }
        (Some(Err(error)), None) => Err(error),
        (None, None) => Err(Error::NotMounted(format!(
            "nothing is mounted at {}",
            dir.display()
        ))),
    }
}

/// One `umount` of a mount whose daemon answers.
struct Unmounting<'a> {
    args: &'a UmountArgs,
    dir: PathBuf,
    client: Client,
}

impl Unmounting<'_> {
    fn run(mut self, mounted: Option<Entry>, out: &Output) -> Result<()> {
        // Registered before anything is taken away: a mount that nothing holds ends at once, and
        // its daemon with it. The answer says that the daemon counts this client.
        self.client.send(&Request::AwaitEnd)?;
        self.client.next()?;
        match &mounted {
            // With the kernel's dirty data, also where a copy of the mount remains: its last page
            // is in the next commit.
            Some(_) => mountpoint::flush_kernel(&self.dir)?,
            None => self.flush_elsewhere(),
        }
        if self.args.force {
            // On a connection of its own: the other one waits for the end. The daemon commits
            // before it answers, so that a failure leaves the mount as it is.
            Client::of(self.client.record().clone())?.ask(&Request::End, |_, _| {})?;
        } else if let Some(entry) = &mounted {
            let how = if self.args.lazy {
                Unmount::Lazy
            } else {
                Unmount::Whole
            };
            mountpoint::unmount_device(&self.dir, Some(&entry.device), how)?;
        }
        if self.args.lazy {
            self.tell(&self.holders());
            return out.done("detached", &self.dir);
        }
        self.await_mount_end(mounted.is_some())?;
        let progress = Progress::spinner(out, "committing");
        let ended = self.client.next();
        // The answer comes a moment before the store's lock goes; the next mount should not have to
        // wait for it.
        self.client.record().ends_within(Duration::from_secs(3));
        progress.finish();
        ended.map_err(|error| Error::Remote {
            exit: error.exit(),
            message: format!(
                "unmounted {}, but nothing was committed at the end: {error}; what was committed or fsynced before \
                 is there at the next mount",
                self.dir.display()
            ),
        })?;
        out.done("unmounted", &self.dir)
    }

    /// Waits until the mount is gone from every namespace, as long as was asked for.
    fn await_mount_end(&mut self, was_here: bool) -> Result<()> {
        let begun = Instant::now();
        // Holders are named only if the end takes longer than that: to find them costs a look at
        // every process.
        if !self.client.says_within(USUAL.min(self.args.timeout)) {
            self.tell(&self.holders());
            let left = self.args.timeout.saturating_sub(begun.elapsed());
            if !self.client.says_within(left) {
                return Err(self.give_up(was_here));
            }
        }
        self.client.next().map(drop)
    }

    fn holders(&self) -> Vec<Holder> {
        let device = self.client.record().device.as_deref();
        device.map_or_else(Vec::new, mountpoint::elsewhere)
    }

    fn tell(&self, holders: &[Holder]) {
        for holder in holders {
            eprintln!(
                "cairn: {} is unmounted here, and still mounted for {}",
                self.dir.display(),
                holder.describe()
            );
        }
    }

    /// Hands over what the kernel holds, through the copies that others have.
    fn flush_elsewhere(&self) {
        for holder in self.holders() {
            // It may be out of reach, or just ending: its pages come when the kernel writes them
            // back.
            let _ = mountpoint::flush_kernel(&holder.path());
        }
    }

    /// The mount goes on. Commits what there is, and says how things are.
    fn give_up(&self, was_here: bool) -> Error {
        self.flush_elsewhere();
        let record = self.client.record();
        // After the pages: a commit holds only what the kernel has handed over.
        let committed =
            Client::of(record.clone()).and_then(|mut client| client.ask(&Request::Sync, |_, _| {}));
        let committed = match committed {
            Ok(Answer::Done) => "what was written so far is committed".to_owned(),
            Ok(_) => "the daemon did not say whether it has committed".to_owned(),
            Err(error) => format!("it could not be committed: {error}"),
        };
        let holders = self.holders();
        let who = match holders.is_empty() {
            true => "a process that cannot be seen from here has it open, or has a copy of it".to_owned(),
            false => {
                let names: Vec<_> = holders.iter().map(Holder::describe).collect();
                format!("it is still mounted for {}", names.join(", "))
            }
        };
        let (dir, pid) = (self.dir.display(), record.pid);
        let here = if was_here {
            "is unmounted here"
        } else {
            "was unmounted here before"
        };
        Error::Busy(format!(
            "{dir} {here}, but lives on: {who}. The daemon (pid {pid}) goes on serving it; {committed}. It ends with \
             the last copy; `cairn umount --force {dir}` commits and ends it now"
        ))
    }
}
