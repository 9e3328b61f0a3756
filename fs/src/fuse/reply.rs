//! Ends a request: with its answer, or with an errno and one line in the log.

use crate::{Error, Result};
use fuser::{
    Errno, INodeNo, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
};

/// A reply that can say no; fuser has a type for each kind of answer and no trait over them.
pub(super) trait Refuse {
    fn refuse(self, errno: Errno);
}

macro_rules! refuse {
    ($($reply:ty),+ $(,)?) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        })+
    };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLseek,
    ReplyOpen,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr,
);

/// Hands a result to the kernel: `accept` sends the value, an error is logged and sent as its
/// errno.
pub(super) fn answer<T, R: Refuse>(
    what: &'static str,
    ino: INodeNo,
    reply: R,
    result: Result<T>,
    accept: impl FnOnce(R, T),
) {
    match result {
        Ok(value) => accept(reply, value),
        Err(error) => reply.refuse(logged(what, ino, &error)),
    }
}

/// [`answer`] for requests that return nothing but success.
pub(super) fn done(what: &'static str, ino: INodeNo, reply: ReplyEmpty, result: Result<()>) {
    answer(what, ino, reply, result, |reply, ()| reply.ok());
}

/// [`answer`] for attributes: their size when `size` is 0, their bytes when they fit it.
pub(super) fn xattr(what: &'static str, ino: INodeNo, size: u32, reply: ReplyXattr, result: Result<Vec<u8>>) {
    answer(what, ino, reply, result, |reply, value| {
        match u32::try_from(value.len()) {
            Ok(len) if size == 0 => reply.size(len),
            Ok(len) if len <= size => reply.data(&value),
            _ => reply.error(Errno::ERANGE),
        }
    });
}

/// The errno of an error that the log now knows: damage loudly, everything a caller may provoke
/// quietly.
pub(super) fn logged(what: &'static str, ino: INodeNo, error: &Error) -> Errno {
    let errno = Errno::from(error);
    if errno.code() == libc::EIO {
        tracing::error!(request = what, ino = ino.0, %error, "request failed");
    } else {
        tracing::debug!(request = what, ino = ino.0, %error, "request refused");
    }
    errno
}
